#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstring>
#include <functional>
#include <optional>
#include <random>
#include <tuple>
#include <vector>

#include "quant/kv_page.hpp"
#include "spv/attention_merge.h"
#include "spv/attention_paged.h"
#include "tests/support/gpu_fixture.hpp"
#include "tests/support/kv_fixture.hpp"
#include "tests/support/reference_ops.hpp"
#include "tests/support/weight_fixture.hpp"
#include "vk_kernels/ops/attention.hpp"

namespace kvasir::gpu {
namespace {

using shared::kKvF16;
using shared::kKvF32;
using shared::kKvInt4;
using shared::kKvInt8;
using shared::kPageTokens;

struct Case {
    std::uint32_t head_dim;
    std::uint32_t n_kv_heads;
    std::uint32_t n_rep;  // query heads a kv head
    std::uint32_t keys;
    std::uint32_t values;
    std::uint32_t n_slabs = 1;
    AttentionReach reach = {};
    float cap = 0;

    std::uint32_t open() const { return keys == kKvF32 ? kKvF32 : kKvF16; }
    std::uint32_t n_heads() const { return n_kv_heads * n_rep; }
    HeadShape heads() const { return {n_heads(), n_kv_heads, head_dim}; }
    KvPageShape page() const { return {n_kv_heads, head_dim, keys, values, open()}; }
    float scale() const { return 1 / std::sqrt(static_cast<float>(head_dim)); }
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
    return out << "head_dim " << c.head_dim << ", heads " << c.n_heads() << "/" << c.n_kv_heads
               << ", formats " << c.keys << ":" << c.values << ", " << c.n_slabs
               << " slabs, window " << c.reach.window << ", sinks " << c.reach.n_sinks << ", cap "
               << c.cap;
}

struct Sequence {
    std::uint32_t table_offset;
    std::uint32_t n_sealed;
    std::uint32_t open_slot;
    std::uint32_t first_row;    // of its queries
    std::uint32_t first_token;  // of them, in its own page
    std::uint32_t n_rows;
    std::vector<float> keys;  // (n_kv_heads, tokens, head_dim), as read back from the pages
    std::vector<float> values;
};

/// Sequences of several lengths whose pages lie scattered in one pool; the last tokens of each ask.
/// All other pages and slots hold NaN; what slots after a sequence's last token hold, is chosen.
class Scene {
public:
    /// n_common: pages of the first sequence that the others begin with as well, as far as they go.
    Scene(Gpu& gpu, const Case& c, const std::vector<std::uint32_t>& lengths, float q_deviation = 1,
          float unwritten = NAN, std::uint32_t n_common = 0)
        : c_(c),
          unwritten_(unwritten),
          n_common_(n_common),
          random_(c.head_dim + 7 * c.n_rep),
          pages_(gpu, c.page(), static_cast<std::uint32_t>(lengths.size()) + 3,
                 slab_pages(c, lengths), c.n_slabs) {
        const auto ids = shuffled(pages_.n_pages(), random_);
        const auto slots = shuffled(pages_.n_open(), random_);
        for (std::size_t i = 0; i < lengths.size(); ++i) add(lengths[i], slots[i], ids);
        q_ = normal_values(std::size_t{n_rows_} * c.n_heads() * c.head_dim, random_, q_deviation);
        sink_q_ =
            normal_values(std::size_t{n_rows_} * c.n_heads() * c.head_dim, random_, q_deviation);
        q_buffer_ = gpu.buffer_of(q_);
        sink_q_buffer_ = gpu.buffer_of(sink_q_);
    }

    const Case& shape() const { return c_; }
    std::uint32_t n_rows() const { return n_rows_; }
    std::size_t row_floats() const { return std::size_t{c_.n_heads()} * c_.head_dim; }
    const std::vector<Sequence>& sequences() const { return sequences_; }
    Slice q() const { return q_buffer_.slice(); }
    Slice sink_q() const { return sink_q_buffer_.slice(); }
    const std::vector<std::uint32_t>& page_ids() const { return table_; }
    KvLayer layer() const { return pages_.layer(); }
    std::uint32_t most_splits() const {
        std::uint32_t most = 0;
        for (const Sequence& s : sequences_) most = std::max(most, n_splits(s));
        return most;
    }
    static std::uint32_t n_splits(const Sequence& s) {
        return s.n_sealed / shared::kSplitPages + 1;
    }

    /// Compares every row with the softmax in double. Errors are relative to the largest value.
    void check(const std::vector<float>& out) const {
        double worst = 0;
        for (const Sequence& s : sequences_)
            for (std::uint32_t r = 0; r < s.n_rows; ++r)
                for (std::uint32_t head = 0; head < c_.n_heads(); ++head)
                    worst = std::max(worst, error_of(s, r, head, out));
        BOOST_TEST_MESSAGE(c_ << ": off by " << worst << " of the largest value");
        BOOST_TEST(worst <= 5e-6, c_ << ": off by " << worst << " of the largest value");
    }

private:
    static std::uint32_t slab_pages(const Case& c, const std::vector<std::uint32_t>& lengths) {
        std::uint32_t n = 3;
        for (const std::uint32_t length : lengths) n += (length - 1) / kPageTokens;
        return n / c.n_slabs + 1;
    }

    /// A page of the size of real keys and values, n tokens of it written. Channel 5 is an outlier.
    void fill_page(std::uint32_t n, std::vector<std::uint32_t>& open) {
        const KvPageShape shape = c_.page();
        std::vector<float> keys = normal_values(shape.n_elements(), random_);
        std::vector<float> values = normal_values(shape.n_elements(), random_);
        for (std::size_t i = 0; i < keys.size(); ++i) {
            if (i % shape.head_dim == 5) keys[i] = keys[i] / 4 + 12;
            if (i / shape.head_dim % kPageTokens >= n) keys[i] = values[i] = unwritten_;
        }
        open.resize(shape.open_words());
        encode_open_kv_page(shape, keys, values, open);
    }

    /// Appends the first n tokens of a page, as read back, to each head's rows.
    void keep(const KvPageShape& shape, std::span<const std::uint32_t> words, std::uint32_t n,
              std::vector<std::vector<float>>& keys, std::vector<std::vector<float>>& values) {
        std::vector<float> page_keys(shape.n_elements());
        std::vector<float> page_values(shape.n_elements());
        decode_kv_page(shape, words, page_keys, page_values);
        const std::size_t page = std::size_t{kPageTokens} * shape.head_dim;
        const auto used = static_cast<std::ptrdiff_t>(n * shape.head_dim);
        for (std::uint32_t head = 0; head < shape.n_kv_heads; ++head) {
            const auto from = static_cast<std::ptrdiff_t>(head * page);
            keys[head].insert(keys[head].end(), page_keys.begin() + from,
                              page_keys.begin() + from + used);
            values[head].insert(values[head].end(), page_values.begin() + from,
                                page_values.begin() + from + used);
        }
    }

    void add(std::uint32_t length, std::uint32_t open_slot, const std::vector<std::uint32_t>& ids) {
        Sequence s{};
        s.table_offset = static_cast<std::uint32_t>(table_.size());
        s.n_sealed = (length - 1) / kPageTokens;
        s.open_slot = open_slot;
        const std::uint32_t n_own = length - s.n_sealed * kPageTokens;
        s.n_rows = std::min(n_own, 7U);
        s.first_token = n_own - s.n_rows;
        s.first_row = n_rows_;
        n_rows_ += s.n_rows;
        std::vector<std::vector<float>> keys(c_.n_kv_heads);
        std::vector<std::vector<float>> values(c_.n_kv_heads);
        std::vector<std::uint32_t> open;
        for (std::uint32_t p = 0; p < s.n_sealed; ++p) {
            const bool is_common = !sequences_.empty() && p < n_common_;
            const std::uint32_t id = is_common ? table_[p] : ids[table_.size()];
            table_.push_back(id);
            fill_page(kPageTokens, open);
            if (!is_common) BOOST_TEST_REQUIRE(seal_kv_page(c_.page(), open, pages_.page(id)));
            keep(c_.page(), pages_.page(id), kPageTokens, keys, values);
        }
        fill_page(n_own, open);
        std::ranges::copy(open, pages_.open(open_slot).begin());
        keep(c_.page().as_open(), open, n_own, keys, values);
        for (const auto& head : keys) s.keys.insert(s.keys.end(), head.begin(), head.end());
        for (const auto& head : values) s.values.insert(s.values.end(), head.begin(), head.end());
        sequences_.push_back(std::move(s));
    }

    double error_of(const Sequence& s, std::uint32_t r, std::uint32_t head,
                    const std::vector<float>& out) const {
        const std::size_t d = c_.head_dim;
        const std::size_t n_tokens = s.keys.size() / c_.n_kv_heads / d;
        const std::size_t n_seen = s.n_sealed * kPageTokens + s.first_token + r + 1;
        const std::size_t kv_head = head / c_.n_rep;
        const std::size_t at = (s.first_row + r) * row_floats() + head * d;
        const auto keys = std::span(s.keys).subspan(kv_head * n_tokens * d, n_seen * d);
        const auto values = std::span(s.values).subspan(kv_head * n_tokens * d, n_seen * d);
        const auto expected =
            reference::attend(std::span(q_).subspan(at, d), keys, values, c_.scale(),
                              {.window = c_.reach.window,
                               .n_sinks = c_.reach.n_sinks,
                               .sink_q = std::span(sink_q_).subspan(at, d),
                               .cap = c_.cap});
        double error = 0;
        for (std::size_t i = 0; i < d; ++i) {
            const double difference = std::abs(out[at + i] - expected[i]);
            error = std::max(error, std::isnan(difference) ? INFINITY : difference);
        }
        double largest = 0;
        for (const float v : values) largest = std::max<double>(largest, std::abs(v));
        return error / largest;
    }

    Case c_;
    float unwritten_;
    std::uint32_t n_common_;
    std::mt19937 random_;
    KvPages pages_;
    std::vector<Sequence> sequences_;
    std::vector<std::uint32_t> table_;
    std::uint32_t n_rows_ = 0;
    std::vector<float> q_;
    std::vector<float> sink_q_;
    Buffer q_buffer_;
    Buffer sink_q_buffer_;
};

/// Something that attends: the op, or kernels built for another kind of device.
struct Runner {
    std::uint32_t tile_tokens;
    std::uint32_t n_sharers;
    std::function<void(Recorder&, const Scene&, const Attention::Work&, const Slice& partials,
                       const Slice& out)>
        record;
};

constexpr AttentionTiling kGpuTiling{.n_rows = 4};

/// tiling: none: as suits the device.
Runner op_runner(Gpu& gpu, const Case& c, const std::optional<AttentionTiling>& tiling = {}) {
    const auto op =
        std::make_shared<Attention>(*gpu.device, c.heads(), c.open(), c.scale(), c.cap, tiling);
    op->prepare({c.keys, c.values}, c.n_slabs, c.reach).value();
    return {op->tile_tokens(), op->n_sharers(),
            [op](Recorder& recorder, const Scene& scene, const Attention::Work& work,
                 const Slice& partials, const Slice& out) {
                op->record(recorder, scene.q(), scene.layer(), work, partials, out,
                           scene.shape().reach, scene.sink_q());
            }};
}

using AttentionKernel = Kernel<shared::AttentionPush, 11, 11>;
using MergeKernel = Kernel<shared::AttentionMergePush, 3, 2>;

/// The build for devices without subgroup shuffles: values pass through shared memory.
Runner portable_runner(Gpu& gpu, const Case& c, std::uint32_t lanes, std::uint32_t heads_per_group,
                       std::uint32_t tile_tokens, std::uint32_t n_sharers = 0) {
    const auto create = [&](std::uint32_t tokens, std::uint32_t is_shared = 0) {
        return std::make_shared<AttentionKernel>(
            AttentionKernel::create(
                *gpu.device, "attention_paged", attention_paged_spv,
                {lanes, c.head_dim, heads_per_group, tokens, c.keys, c.values, c.open(), c.n_slabs,
                 c.cap > 0 ? 1U : 0U, c.reach.kind(), is_shared})
                .value());
    };
    const auto single = create(1);
    const auto many = create(tile_tokens);
    const auto together = n_sharers > 0 ? create(n_sharers, 1) : nullptr;
    const auto merge = std::make_shared<MergeKernel>(
        MergeKernel::create(*gpu.device, "attention_merge", attention_merge_spv, {c.head_dim, 64})
            .value());
    const std::uint32_t chunks = (c.n_rep + heads_per_group - 1) / heads_per_group;
    return {tile_tokens, n_sharers,
            [=](Recorder& recorder, const Scene& scene, const Attention::Work& work,
                const Slice& partials, const Slice& out) {
                const KvLayer kv = scene.layer();
                const shared::AttentionPush push{.n_heads = c.n_heads(),
                                                 .n_kv_heads = c.n_kv_heads,
                                                 .pages_per_slab = kv.pages_per_slab,
                                                 .max_splits = work.max_splits,
                                                 .score_scale = c.scale(),
                                                 .score_cap = c.cap,
                                                 .window = c.reach.window,
                                                 .n_sinks = c.reach.n_sinks};
                const auto attend = [&](const AttentionKernel& kernel, const Slice& tiles,
                                        std::uint32_t n_tiles, std::uint32_t n_splits) {
                    kernel.record(
                        recorder,
                        {scene.q(), tiles, work.table, kv.open, out, partials, kv.slabs[0],
                         kv.slabs[1], kv.slabs[2], kv.slabs[3], scene.sink_q()},
                        push, {.x = n_tiles, .y = c.n_kv_heads * chunks, .z = n_splits});
                };
                if (work.n_shared_tiles > 0)
                    attend(*together, work.shared_tiles, work.n_shared_tiles, work.n_shared_splits);
                attend(work.single_tokens ? *single : *many, work.tiles, work.n_tiles,
                       std::max(work.max_splits, 1U));
                if (work.max_splits == 0) return;
                const std::uint32_t n = work.n_rows * c.n_heads() * c.head_dim;
                merge->record(recorder, {work.merge_rows, partials, out},
                              {.n_rows = work.n_rows,
                               .n_heads = c.n_heads(),
                               .max_splits = work.max_splits,
                               .window = c.reach.window,
                               .n_sinks = c.reach.n_sinks},
                              {.x = (n + 63) / 64});
            }};
}

struct Plan {
    std::uint32_t tile_tokens = 1;
    bool splits_apart = false;
    std::uint32_t spare_splits = 0;  // room for more splits than there are
    int only_sequence = -1;
    std::uint32_t shared_splits = 0;  // of all rows that see so many, read by n_sharers together
};

/// Rows of sequences that have so many whole splits before their own page.
std::vector<std::uint32_t> sharers_of(const Scene& scene, std::uint32_t n_splits) {
    std::vector<std::uint32_t> rows;
    for (const Sequence& s : scene.sequences())
        for (std::uint32_t r = 0; r < s.n_rows; ++r)
            if (s.n_sealed / shared::kSplitPages >= n_splits) rows.push_back(s.first_row + r);
    return rows;
}

std::vector<std::uint32_t> tiles_of(const Scene& scene, const Plan& plan) {
    std::vector<std::uint32_t> tiles;
    for (std::size_t i = 0; i < scene.sequences().size(); ++i) {
        const Sequence& s = scene.sequences()[i];
        if (plan.only_sequence >= 0 && plan.only_sequence != static_cast<int>(i)) continue;
        for (std::uint32_t r = 0; r < s.n_rows; r += plan.tile_tokens)
            for (const std::uint32_t word :
                 {s.first_row + r, std::min(plan.tile_tokens, s.n_rows - r), s.table_offset,
                  s.n_sealed, s.open_slot, s.first_token + r,
                  s.n_sealed / shared::kSplitPages >= plan.shared_splits ? plan.shared_splits : 0})
                tiles.push_back(word);
    }
    return tiles;
}

/// All rows, and one more that nobody may write, as NaN where no tile asked.
std::vector<float> attend(Gpu& gpu, const Scene& scene, const Runner& runner, const Plan& plan) {
    const Case& c = scene.shape();
    const auto tiles = tiles_of(scene, plan);
    std::vector<std::uint32_t> merge_rows;
    for (const Sequence& s : scene.sequences())
        for (std::uint32_t r = 0; r < s.n_rows; ++r) {
            merge_rows.push_back(s.first_row + r);
            merge_rows.push_back(s.n_sealed * kPageTokens + s.first_token + r);
        }
    const std::uint32_t max_splits =
        plan.splits_apart ? scene.most_splits() + plan.spare_splits : 0;
    // The rows that read together are listed behind the page table.
    std::vector<std::uint32_t> table = scene.page_ids();
    std::vector<std::uint32_t> shared_tiles;
    if (plan.shared_splits > 0) {
        const auto rows = sharers_of(scene, plan.shared_splits);
        for (std::size_t i = 0; i < rows.size(); i += runner.n_sharers) {
            const auto n = static_cast<std::uint32_t>(
                std::min<std::size_t>(runner.n_sharers, rows.size() - i));
            for (const std::uint32_t word : {static_cast<std::uint32_t>(table.size()), n, 0U,
                                             plan.shared_splits * shared::kSplitPages, 0U, 0U, 0U})
                shared_tiles.push_back(word);
            for (std::uint32_t k = 0; k < n; ++k) table.push_back(rows[rows.size() - 1 - i - k]);
        }
    }
    const auto n_shared =
        static_cast<std::uint32_t>(shared_tiles.size()) / shared::kAttentionTileWords;
    shared_tiles.resize(std::max<std::size_t>(shared_tiles.size(), 1));
    const Buffer shared_buffer = gpu.buffer_of(shared_tiles);
    const Buffer table_buffer = gpu.buffer_of(table);
    const Buffer tile_buffer = gpu.buffer_of(tiles);
    const Buffer merge_buffer = gpu.buffer_of(merge_rows);
    const Buffer partials = gpu.filled_buffer<float>(std::max<std::size_t>(
        4, std::size_t{scene.n_rows()} * c.n_heads() * max_splits * (c.head_dim + 2)));
    const Buffer out = gpu.filled_buffer<float>((scene.n_rows() + 1) * scene.row_floats());
    const Attention::Work work{
        .tiles = tile_buffer.slice(),
        .n_tiles = static_cast<std::uint32_t>(tiles.size()) / shared::kAttentionTileWords,
        .single_tokens = plan.tile_tokens == 1,
        .table = table_buffer.slice(),
        .max_splits = max_splits,
        .merge_rows = merge_buffer.slice(),
        .n_rows = scene.n_rows(),
        .shared_tiles = shared_buffer.slice(),
        .n_shared_tiles = n_shared,
        .n_shared_splits = plan.shared_splits};
    gpu.run([&](Recorder& recorder) {
        runner.record(recorder, scene, work, partials.slice(), out.slice());
    });
    return contents<float>(out);
}

std::vector<std::uint32_t> bits(const std::vector<float>& values) {
    std::vector<std::uint32_t> out(values.size());
    std::memcpy(out.data(), values.data(), values.size() * 4);
    return out;
}

/// The reference, then the same bits by every other way to compute them. Returns them.
std::vector<std::uint32_t> check_scene(Gpu& gpu, const Scene& scene, const Runner& runner) {
    const Case& c = scene.shape();
    const auto one_by_one = attend(gpu, scene, runner, {});
    scene.check(one_by_one);
    const auto expected = bits(one_by_one);
    for (std::size_t i = expected.size() - scene.row_floats(); i < expected.size(); ++i)
        BOOST_TEST_REQUIRE(expected[i] == 0xffffffffU);
    BOOST_TEST((bits(attend(gpu, scene, runner, {.splits_apart = true})) == expected),
               c << ": splits apart give other bits");
    BOOST_TEST(
        (bits(attend(gpu, scene, runner, {.splits_apart = true, .spare_splits = 2})) == expected),
        c << ": splits apart, with room for more, give other bits");
    if (runner.tile_tokens > 1) {
        BOOST_TEST(
            (bits(attend(gpu, scene, runner, {.tile_tokens = runner.tile_tokens})) == expected),
            c << ": tiles of " << runner.tile_tokens << " give other bits");
        BOOST_TEST(
            (bits(attend(gpu, scene, runner,
                         {.tile_tokens = runner.tile_tokens, .splits_apart = true})) == expected),
            c << ": tiles of " << runner.tile_tokens << ", splits apart, give other bits");
    }
    const int last = static_cast<int>(scene.sequences().size()) - 1;
    const auto alone = bits(attend(gpu, scene, runner, {.only_sequence = last}));
    const Sequence& s = scene.sequences().back();
    const auto begin = static_cast<std::ptrdiff_t>(s.first_row * scene.row_floats());
    const auto end = begin + static_cast<std::ptrdiff_t>(s.n_rows * scene.row_floats());
    BOOST_TEST(std::equal(alone.begin() + begin, alone.begin() + end, expected.begin() + begin),
               c << ": alone gives other bits than in company");
    return expected;
}

void check_op(Gpu& gpu, const Scene& scene) {
    const Case& c = scene.shape();
    const auto alone = check_scene(gpu, scene, op_runner(gpu, c, AttentionTiling{}));
    BOOST_TEST((check_scene(gpu, scene, op_runner(gpu, c, kGpuTiling)) == alone),
               c << ": rows that share a page have other bits than alone");
}

const std::vector<std::uint32_t> kLengths{1, 31, 32, 33, 64, 65, 513, 600, 1100};
const std::vector<std::uint32_t> kFewLengths{5, 33, 544};

}  // namespace

BOOST_AUTO_TEST_SUITE(attention)

BOOST_AUTO_TEST_CASE(every_length_is_the_references_softmax_and_tiles_and_splits_keep_its_bits) {
    Gpu& gpu = Gpu::get();
    for (const Case& c : {Case{64, 2, 1, kKvF16, kKvF16}, Case{48, 1, 2, kKvInt4, kKvInt4},
                          Case{64, 1, 4, kKvInt8, kKvInt8}}) {
        check_op(gpu, Scene(gpu, c, kLengths));
    }
}

BOOST_AUTO_TEST_CASE(every_head_dim_format_and_grouping_agrees_with_the_reference) {
    Gpu& gpu = Gpu::get();
    for (const Case& c : {Case{64, 2, 3, kKvInt8, kKvInt4}, Case{48, 1, 7, kKvInt4, kKvInt8},
                          Case{64, 1, 8, kKvF16, kKvInt4}, Case{48, 2, 1, kKvInt4, kKvInt4},
                          Case{72, 2, 2, kKvInt4, kKvF16}, Case{80, 2, 1, kKvF16, kKvInt4},
                          Case{96, 1, 2, kKvInt8, kKvInt8}, Case{128, 1, 2, kKvInt4, kKvInt4},
                          Case{128, 2, 1, kKvF16, kKvF16}, Case{256, 1, 1, kKvInt8, kKvInt4},
                          Case{64, 2, 1, kKvF32, kKvF32}, Case{40, 1, 4, kKvF32, kKvF32},
                          Case{32, 3, 1, kKvInt8, kKvInt4}, Case{40, 2, 1, kKvInt4, kKvInt8},
                          Case{8, 2, 1, kKvInt4, kKvInt4}, Case{24, 3, 1, kKvF16, kKvInt8}}) {
        const Scene scene(gpu, c, kFewLengths);
        // A CPU device compiles these tiles of several rows for up to a minute.
        const bool is_slow = c.head_dim > 128 || c.head_dim < 48;
        check_scene(gpu, scene,
                    op_runner(gpu, c, is_slow ? std::nullopt : std::optional(kGpuTiling)));
    }
}

/// Sequences behind one prefix of two splits and a bit; some end before.
BOOST_AUTO_TEST_CASE(splits_that_sequences_read_together_keep_their_bits) {
    Gpu& gpu = Gpu::get();
    const auto check = [&](const Case& c, const Runner& runner,
                           const std::vector<std::uint32_t>& lengths) {
        const Scene scene(gpu, c, lengths, 1, NAN, 35);
        const auto expected = check_scene(gpu, scene, runner);
        for (const std::uint32_t n_splits : {1U, 2U}) {
            BOOST_TEST(
                (bits(attend(gpu, scene, runner,
                             {.splits_apart = true, .shared_splits = n_splits})) == expected),
                c << ": " << n_splits << " splits read together give other bits");
        }
    };
    // A CPU device compiles tiles of many rows for a minute.
    struct Tiled {
        Case c;
        AttentionTiling tiling;
    };
    for (const Tiled& t :
         {Tiled{{32, 2, 1, kKvF16, kKvF16}, {.n_rows = 1, .n_sharers = 3}},
          Tiled{{32, 1, 2, kKvInt8, kKvInt8}, {.n_rows = 2, .n_sharers = 2}},
          Tiled{{48, 1, 2, kKvInt4, kKvInt4, 2}, {.n_rows = 1, .n_sharers = 2}},
          Tiled{{40, 1, 1, kKvInt8, kKvInt4, 1, {}, 5.0F}, {.n_rows = 1, .n_sharers = 2}}})
        check(t.c, op_runner(gpu, t.c, t.tiling), {1230, 1100, 1025, 600, 1100, 40, 520});
    const Case c{32, 1, 2, kKvInt8, kKvInt4};
    check(c, portable_runner(gpu, c, 8, 1, 1, 2), {530, 520});
}

BOOST_AUTO_TEST_CASE(pages_in_several_slabs_are_found) {
    Gpu& gpu = Gpu::get();
    for (const Case& c : {Case{32, 1, 1, kKvInt4, kKvInt4, 4}, Case{48, 1, 2, kKvInt8, kKvF16, 3},
                          Case{32, 2, 1, kKvF16, kKvF16, 2}}) {
        const Scene scene(gpu, c, {40, 700});
        check_scene(gpu, scene, op_runner(gpu, c));
    }
}

/// Weights from 1 down to nothing: maxima move while pages are walked, and splits differ by much.
BOOST_AUTO_TEST_CASE(peaked_scores_agree_with_the_reference) {
    Gpu& gpu = Gpu::get();
    for (const Case& c : {Case{48, 2, 2, kKvInt4, kKvInt8}, Case{64, 1, 1, kKvF16, kKvF16}}) {
        const Scene scene(gpu, c, {1, 33, 1100}, 12);
        check_scene(gpu, scene, op_runner(gpu, c));
    }
}

BOOST_AUTO_TEST_CASE(what_unwritten_slots_hold_does_not_show) {
    Gpu& gpu = Gpu::get();
    for (const Case& c : {Case{48, 2, 1, kKvInt4, kKvInt4}, Case{64, 2, 1, kKvF32, kKvF32}}) {
        const Runner runner = op_runner(gpu, c, kGpuTiling);
        const Plan tiles{.tile_tokens = runner.tile_tokens};
        const auto expected = bits(attend(gpu, Scene(gpu, c, kFewLengths), runner, tiles));
        for (const float unwritten : {65504.0F, -65504.0F, INFINITY, -INFINITY, 0.0F}) {
            const Scene scene(gpu, c, kFewLengths, 1, unwritten);
            BOOST_TEST((bits(attend(gpu, scene, runner, tiles)) == expected),
                       c << ": " << unwritten);
        }
    }
}

BOOST_AUTO_TEST_CASE(without_subgroup_shuffles_it_is_the_same_softmax) {
    Gpu& gpu = Gpu::get();
    struct Portable {
        Case c;
        std::uint32_t lanes, heads, tokens;
    };
    for (const Portable& p : {Portable{{48, 1, 1, kKvInt4, kKvInt4}, 32, 1, 2},
                              Portable{{40, 1, 3, kKvInt8, kKvInt4}, 32, 2, 1},
                              Portable{{72, 1, 2, kKvF16, kKvInt8, 2}, 16, 1, 1},
                              Portable{{128, 2, 1, kKvInt8, kKvF16}, 32, 1, 1},
                              Portable{{64, 1, 2, kKvF32, kKvF32}, 32, 1, 2}}) {
        const Scene scene(gpu, p.c, kFewLengths);
        check_scene(gpu, scene, portable_runner(gpu, p.c, p.lanes, p.heads, p.tokens));
    }
}

/// Windows that end in a page, on a border, within a tile's tokens; wider than the sequence; splits
/// of which nothing is seen.
BOOST_AUTO_TEST_CASE(a_window_hides_what_lies_before_it) {
    Gpu& gpu = Gpu::get();
    for (const std::uint32_t window : {1U, 3U, 32U, 33U, 36U, 64U, 500U, 515U, 600U, 2000U}) {
        const Case c{64, 1, 2, kKvInt8, kKvInt4, 1, {.window = window}};
        check_op(gpu, Scene(gpu, c, kLengths));
    }
    for (const Case& c : {Case{48, 2, 1, kKvF16, kKvF16, 2, {.window = 70}},
                          Case{64, 1, 4, kKvInt4, kKvInt4, 1, {.window = 35}},
                          Case{64, 2, 1, kKvF32, kKvF32, 1, {.window = 530}}})
        check_op(gpu, Scene(gpu, c, kLengths));
}

/// Sinks that end in a page, on a border, in the second split; pages that are sink and window both.
BOOST_AUTO_TEST_CASE(sinks_are_seen_beside_the_window_by_their_own_query) {
    Gpu& gpu = Gpu::get();
    for (const AttentionReach& reach :
         {AttentionReach{41, 4}, AttentionReach{8, 4}, AttentionReach{33, 32},
          AttentionReach{500, 1}, AttentionReach{100, 530}, AttentionReach{3, 70}}) {
        const Case c{64, 1, 2, kKvInt8, kKvInt4, 1, reach};
        check_op(gpu, Scene(gpu, c, kLengths));
    }
    for (const Case& c :
         {Case{48, 2, 1, kKvF16, kKvF16, 2, {70, 5}}, Case{64, 2, 1, kKvF32, kKvF32, 1, {9, 3}}})
        check_op(gpu, Scene(gpu, c, kLengths));
}

BOOST_AUTO_TEST_CASE(a_cap_bounds_scores) {
    Gpu& gpu = Gpu::get();
    for (const Case& c : {Case{64, 1, 2, kKvF16, kKvF16, 1, {}, 2.0F},
                          Case{48, 1, 1, kKvInt8, kKvInt4, 1, {.window = 40}, 50.0F}})
        check_op(gpu, Scene(gpu, c, kLengths, 3));
}

BOOST_AUTO_TEST_CASE(without_subgroup_shuffles_windows_sinks_and_caps_are_the_same) {
    Gpu& gpu = Gpu::get();
    for (const Case& c : {Case{48, 1, 2, kKvInt4, kKvInt4, 1, {.window = 36}},
                          Case{40, 1, 1, kKvF16, kKvInt8, 1, {41, 4}},
                          Case{64, 1, 1, kKvInt8, kKvF16, 1, {.window = 540}, 5.0F}})
        check_scene(gpu, Scene(gpu, c, {5, 33, 544, 1100}), portable_runner(gpu, c, 32, 1, 2));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir::gpu
