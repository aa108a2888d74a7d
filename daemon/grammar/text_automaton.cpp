#include "daemon/grammar/text_automaton.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace kvasir::grammar {

namespace {

constexpr std::array<std::uint32_t, 4> kHighest{0x7f, 0x7ff, 0xffff, kMaxCodePoint};
constexpr SymbolRange kSurrogates{0xd800, 0xdfff};

std::size_t encode(std::uint32_t code_point, std::array<std::uint32_t, 4>& bytes) {
    if (code_point <= kHighest[0]) {
        bytes[0] = code_point;
        return 1;
    }
    const std::size_t n = code_point <= kHighest[1] ? 2 : code_point <= kHighest[2] ? 3 : 4;
    constexpr std::array<std::uint32_t, 5> kLead{0, 0, 0xc0, 0xe0, 0xf0};
    for (std::size_t i = n; i-- > 1;) {
        bytes[i] = 0x80 | (code_point & 0x3f);
        code_point >>= 6;
    }
    bytes[0] = kLead[n] | code_point;
    return n;
}

constexpr std::array<std::pair<char, char>, 8> kShortEscapes{{{'"', '"'},
                                                              {'\\', '\\'},
                                                              {'/', '/'},
                                                              {'\b', 'b'},
                                                              {'\f', 'f'},
                                                              {'\n', 'n'},
                                                              {'\r', 'r'},
                                                              {'\t', 't'}}};

std::string escape_of(std::uint32_t code_point) {
    for (const auto& [character, letter] : kShortEscapes) {
        if (code_point == static_cast<unsigned char>(character)) return std::string("\\") + letter;
    }
    return fmt::format("\\u{:04x}", code_point);
}

const SymbolSet& escaped_characters() {
    static const SymbolSet set{{0, 0x1f}, {'"', '"'}, {'\\', '\\'}};
    return set;
}

/// The short escapes where there are any; the others, \u00XX, share their beginning.
void add_escapes(Nfa& nfa, std::uint32_t from, const SymbolSet& set, std::uint32_t to) {
    if (set.is_empty()) return;
    constexpr std::string_view kHex = "0123456789abcdef";
    const Fragment slash = nfa.ascii("\\");
    nfa.add_empty(from, slash.start);
    std::array<std::optional<std::uint32_t>, 2> after_high{};  // after the third digit
    const auto add = [&nfa](std::uint32_t begin, char c, std::uint32_t end) {
        const auto byte = static_cast<unsigned char>(c);
        nfa.add_edge(begin, {byte, byte}, end);
    };
    for (const SymbolRange& range : set.ranges()) {
        for (std::uint32_t c = range.low; c <= range.high; ++c) {
            const std::string text = escape_of(c);
            if (text.size() == 2) {
                add(slash.end, text[1], to);
                continue;
            }
            std::optional<std::uint32_t>& high = after_high[c >> 4];
            if (!high) {
                const Fragment digits = nfa.ascii(text.substr(1, 4));
                nfa.add_empty(slash.end, digits.start);
                high = digits.end;
            }
            add(*high, kHex[c & 0xf], to);
        }
    }
}

template <class AddEdge>
Result<Dfa> rewrite(const Dfa& code_points, Budget& budget, AddEdge&& add_edge) {
    Nfa nfa;
    Utf8Paths paths(nfa);
    const auto n = static_cast<std::uint32_t>(code_points.states.size());
    for (std::uint32_t i = 0; i <= n; ++i) nfa.add_state();
    for (std::uint32_t i = 0; i < n; ++i) {
        const Dfa::State& state = code_points.states[i];
        KVASIR_TRY_VOID(budget.spend(1 + 8 * state.edges.size()));
        for (const Dfa::Edge& edge : state.edges)
            add_edge(nfa, paths, i, SymbolRange{edge.low, edge.high}, edge.target);
        if (state.accepts) nfa.add_empty(i, n);
    }
    KVASIR_TRY(Dfa dfa, determinize(nfa, {0, n}, budget));
    return minimize(std::move(dfa));
}

}  // namespace

/// Both ends have encodings of the same length. Split until each piece is a product of byte ranges:
/// where the ends' leading parts differ, their trailing parts must run over everything.
void Utf8Paths::add_same_length(std::uint32_t from, SymbolRange range, std::uint32_t to) {
    for (unsigned shift = 6; shift <= 18; shift += 6) {
        const std::uint32_t tail = (1U << shift) - 1;
        if (range.high <= kHighest[0] || (range.low & ~tail) == (range.high & ~tail)) break;
        if ((range.low & tail) != 0) {
            add_same_length(from, {range.low, range.low | tail}, to);
            add_same_length(from, {(range.low | tail) + 1, range.high}, to);
            return;
        }
        if ((range.high & tail) != tail) {
            add_same_length(from, {range.low, (range.high & ~tail) - 1}, to);
            add_same_length(from, {range.high & ~tail, range.high}, to);
            return;
        }
    }
    std::array<std::uint32_t, 4> low{};
    std::array<std::uint32_t, 4> high{};
    const std::size_t n = encode(range.low, low);
    encode(range.high, high);
    for (std::size_t i = n; --i > 0;) {
        const auto [found, is_new] = before_.try_emplace({low[i], high[i], to}, 0);
        if (is_new) {
            found->second = nfa_.add_state();
            nfa_.add_edge(found->second, {low[i], high[i]}, to);
        }
        to = found->second;
    }
    nfa_.add_edge(from, {low[0], high[0]}, to);
}

void Utf8Paths::add(std::uint32_t from, SymbolRange range, std::uint32_t to) {
    static const SymbolSet characters{{0, kSurrogates.low - 1},
                                      {kSurrogates.high + 1, kMaxCodePoint}};
    const SymbolSet wanted = SymbolSet{range}.intersection(characters);
    for (SymbolRange piece : wanted.ranges()) {
        for (const std::uint32_t highest : kHighest) {
            if (piece.low > highest) continue;
            const std::uint32_t high = std::min(piece.high, highest);
            add_same_length(from, {piece.low, high}, to);
            if (high == piece.high) break;
            piece.low = high + 1;
        }
    }
}

Result<Dfa> to_utf8(const Dfa& code_points, Budget& budget) {
    return rewrite(code_points, budget,
                   [](Nfa&, Utf8Paths& paths, std::uint32_t from, SymbolRange range,
                      std::uint32_t to) { paths.add(from, range, to); });
}

Result<Dfa> to_json_string(const Dfa& code_points, Budget& budget) {
    return rewrite(
        code_points, budget,
        [](Nfa& nfa, Utf8Paths& paths, std::uint32_t from, SymbolRange range, std::uint32_t to) {
            const SymbolSet wanted{range};
            const SymbolSet raw =
                wanted.intersection(escaped_characters().complement(kMaxCodePoint));
            for (const SymbolRange& piece : raw.ranges()) paths.add(from, piece, to);
            const SymbolSet escaped = wanted.intersection(escaped_characters());
            add_escapes(nfa, from, escaped, to);
        });
}

Dfa json_character() {
    Nfa nfa;
    const Fragment whole = nfa.nothing();
    const SymbolSet raw = escaped_characters().complement(kMaxCodePoint);
    Utf8Paths paths(nfa);
    for (const SymbolRange& range : raw.ranges()) paths.add(whole.start, range, whole.end);
    const auto add = [&](std::initializer_list<std::string_view> steps) {
        Fragment path = nfa.ascii("\\");
        nfa.add_empty(whole.start, path.start);
        for (const std::string_view step : steps)
            path = nfa.sequence(path, nfa.one_of(SymbolSet::of(step)));
        nfa.add_empty(path.end, whole.end);
    };
    constexpr std::string_view kHex = "0123456789abcdefABCDEF";
    constexpr std::string_view kHigh = "89abAB";  // of the second digit of a leading surrogate
    constexpr std::string_view kLow = "cdefCDEF";
    add({"\"\\/bfnrt"});
    add({"u", "0123456789abcefABCEF", kHex, kHex, kHex});
    add({"u", "dD", "01234567", kHex, kHex});
    add({"u", "dD", kHigh, kHex, kHex, "\\", "u", "dD", kLow, kHex, kHex});
    Budget budget;
    return determinize(nfa, whole, budget).value();
}

std::optional<std::vector<std::uint32_t>> code_points(std::string_view utf8) {
    std::vector<std::uint32_t> out;
    for (std::size_t i = 0; i < utf8.size();) {
        const auto lead = static_cast<unsigned char>(utf8[i]);
        const std::size_t n = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
        if (i + n > utf8.size()) return std::nullopt;
        std::uint32_t value = n == 1 ? lead : lead & (0x7fU >> n);
        for (std::size_t k = 1; k < n; ++k)
            value = (value << 6) | (static_cast<unsigned char>(utf8[i + k]) & 0x3fU);
        std::array<std::uint32_t, 4> bytes{};
        if (value > kMaxCodePoint || SymbolSet{kSurrogates}.contains(value) ||
            encode(value, bytes) != n)
            return std::nullopt;
        for (std::size_t k = 0; k < n; ++k) {
            if (bytes[k] != static_cast<unsigned char>(utf8[i + k])) return std::nullopt;
        }
        out.push_back(value);
        i += n;
    }
    return out;
}

std::string json_escaped(std::string_view utf8) {
    std::string out;
    for (const char c : utf8) {
        const auto symbol = static_cast<unsigned char>(c);
        if (escaped_characters().contains(symbol)) {
            out += escape_of(symbol);
        } else {
            out += c;
        }
    }
    return out;
}

}  // namespace kvasir::grammar
