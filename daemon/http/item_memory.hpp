// ItemMemory: what Responses said, so that a client may name an item by its id where it could send
// it back, which some do unless told otherwise.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace kvasir {

/// In memory alone and bounded: the domain that holds most loses its oldest item first. What a
/// session or context said goes when that ends, however it does (whoever ends it calls forget_*),
/// all after a time to live; its bytes are zeroed. Any thread.
class ItemMemory {
public:
    using Clock = std::chrono::steady_clock;
    struct Limits {
        std::size_t bytes = std::size_t{4} << 20;
        Clock::duration time_to_live = std::chrono::hours(1);
    };

    ItemMemory() = default;
    explicit ItemMemory(const Limits& limits) : limits_(limits) {}

    struct Owner {
        std::uint32_t domain = 0;
        std::string session;  // empty: none
        std::string context;  // empty: none
    };
    /// item: its JSON. Not kept where it alone is more than everything may be.
    void remember(const Owner& owner, std::string id, std::string item);
    /// nullopt: never there, not this domain's, or forgotten.
    std::optional<std::string> find(std::uint32_t domain, std::string_view id);
    void forget_session(std::uint32_t domain, std::string_view session);
    void forget_context(std::uint32_t domain, std::string_view context);

    std::size_t bytes_held() const;

private:
    struct Entry {
        Owner owner;
        std::string id;
        std::string item;
        Clock::time_point until;
    };
    using Entries = std::list<Entry>;

    static std::size_t size_of(const Entry& entry);
    void forget(std::uint32_t domain, std::string Owner::*name, std::string_view ended);
    Entries::iterator drop(Entries::iterator entry);
    void drop_expired();
    void drop_one_of_the_largest();

    const Limits limits_{};
    mutable std::mutex mutex_;
    Entries entries_;  // oldest first
    std::map<std::string, Entries::iterator, std::less<>> by_id_;
    std::map<std::uint32_t, std::size_t> domain_bytes_;  // none is 0
    std::size_t bytes_ = 0;
};

}  // namespace kvasir
