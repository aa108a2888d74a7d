// Conversation: the turns of a chat, as the server is sent them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "config/base/error.hpp"

namespace kvasir::client {

/// After the system message, user and assistant turns alternate, except while a reply is awaited.
class Conversation {
public:
    explicit Conversation(std::string system) : system_(std::move(system)) {}

    void add_user(std::string text);
    /// Ends the turn. Without text the user's message goes too: the model never saw an empty reply.
    void add_assistant(std::string text);
    void drop_pending_user();
    void clear() { turns_.clear(); }

    std::size_t n_turns() const { return turns_.size(); }

    /// A JSON array of {"role", "content"}, the system message first where there is one.
    std::string messages() const;

    /// The messages as a JSON file that only its owner can read. A file that is there already is
    /// replaced only if this conversation wrote it. Errors: conflict, io.
    Result<void> save(const std::string& path);

private:
    struct Turn {
        bool is_user = true;
        std::string text;
    };
    std::string system_;
    std::vector<Turn> turns_;
    std::string saved_path_;
};

}  // namespace kvasir::client
