#include "daemon/model/batch.hpp"

#include <algorithm>
#include <cstring>

#include "config/base/check.hpp"

namespace kvasir {
namespace {

constexpr std::uint32_t kPage = shared::kPageTokens;
/// Entries in lists of sequences that read together, a sequence of the step: a long prefix of many
/// and a second one of some.
constexpr std::uint32_t kListings = 2;

std::uint32_t end_position(const SequenceStep& step) {
    return step.first_position + static_cast<std::uint32_t>(step.tokens.size());
}

/// Pages that are full once the step has run and were not before.
std::uint32_t n_filled(const SequenceStep& step) {
    return end_position(step) / kPage - step.first_position / kPage;
}

}  // namespace

Result<BatchWriter> BatchWriter::create(gpu::Device& device, const BatchLimits& limits,
                                        std::span<const Rope> ropes, std::uint32_t sink_span) {
    BatchWriter writer;
    writer.limits_ = limits;
    writer.ropes_.assign(ropes.begin(), ropes.end());
    writer.sink_span_ = sink_span;
    writer.batch_.ropes.resize(ropes.size());
    writer.batch_.sink_ropes.resize(ropes.size());
    writer.alignment_ = std::max<std::uint64_t>(device.limits().binding_alignment, 16);
    const std::uint64_t n_seals = limits.max_tokens / kPage + limits.max_sequences;
    std::uint64_t rope_words = 0;
    for (const Rope& rope : ropes) rope_words += (sink_span > 0 ? 2 : 1) * rope.shape.n_rot;
    const std::uint64_t words =
        std::uint64_t{limits.max_tokens} * (3 + rope_words + shared::kAttentionTileWords + 2) +
        std::uint64_t{limits.max_sequences} *
            (limits.max_pages + kListings * (shared::kAttentionTileWords + 1)) +
        2 * n_seals;
    KVASIR_TRY(writer.upload_, gpu::Buffer::create(device, words * 4 + 16 * writer.alignment_,
                                                   gpu::BufferDomain::upload));
    KVASIR_TRY(writer.status_, gpu::Buffer::create(device, std::max<std::uint64_t>(n_seals, 1) * 4,
                                                   gpu::BufferDomain::readback));
    return writer;
}

template <class T>
std::span<T> BatchWriter::section(gpu::Slice& slice, std::size_t n) {
    const std::uint64_t bytes = std::max<std::size_t>(n, 1) * sizeof(T);
    KVASIR_CHECK(at_ + bytes <= upload_.bytes(),
                 "a step keeps the limits its buffers were made for");
    slice = upload_.slice(at_, bytes);
    T* data = reinterpret_cast<T*>(upload_.mapped().data() + at_);
    at_ = (at_ + bytes + alignment_ - 1) / alignment_ * alignment_;
    return {data, n};
}

void BatchWriter::write_tokens(std::span<const SequenceStep> steps) {
    const auto tokens = section<std::uint32_t>(batch_.tokens, batch_.n_tokens);
    const auto positions = section<std::uint32_t>(batch_.positions, batch_.n_tokens);
    const auto slots = section<std::uint32_t>(batch_.slots, batch_.n_tokens);
    std::uint32_t row = 0;
    for (const SequenceStep& step : steps) {
        for (const std::uint32_t index : step.logits_at) batch_.logit_rows.push_back(row + index);
        for (std::size_t i = 0; i < step.tokens.size(); ++i, ++row) {
            const std::uint32_t position = step.first_position + static_cast<std::uint32_t>(i);
            tokens[row] = step.tokens[i];
            positions[row] = position;
            slots[row] = step.open_slots[position / kPage - step.first_position / kPage] * kPage +
                         position % kPage;
        }
        if (step.n_states > 0) batch_.state_rows.push_back({row - step.n_states, step.n_states});
    }
    KVASIR_CHECK(batch_.logit_rows.size() <= limits_.max_logit_rows, "a step keeps max_logit_rows");
}

void BatchWriter::write_ropes(std::span<const SequenceStep> steps, std::vector<gpu::Slice>& tables,
                              std::uint32_t last_position) {
    for (std::size_t i = 0; i < ropes_.size(); ++i) {
        const std::size_t n_rot = ropes_[i].shape.n_rot;
        const auto table = section<float>(tables[i], batch_.n_tokens * n_rot);
        std::size_t row = 0;
        for (const SequenceStep& step : steps) {
            for (std::uint32_t p = step.first_position; p < end_position(step); ++p, ++row)
                ropes_[i].fill(std::min(p, last_position), table.subspan(row * n_rot, n_rot));
        }
    }
}

/// Where all decode, a token each.
SplitPlan BatchWriter::plan_splits(std::span<const SequenceStep> steps,
                                   const gpu::Attention& attention) const {
    std::vector<std::span<const PageId>> pages;
    for (const SequenceStep& step : steps) {
        const std::uint32_t n_whole = step.first_position / kPage / shared::kSplitPages;
        pages.push_back(step.pages.first(std::size_t{n_whole} * shared::kSplitPages));
    }
    return share_splits(pages, limits_.min_sharers, attention.n_sharers(),
                        kListings * static_cast<std::uint32_t>(steps.size()));
}

void BatchWriter::write_attention(std::span<const SequenceStep> steps,
                                  const gpu::Attention& attention) {
    gpu::Attention::Work& work = batch_.attention;
    work = {};
    work.n_rows = batch_.n_tokens;
    work.single_tokens = std::all_of(steps.begin(), steps.end(),
                                     [](const SequenceStep& s) { return s.tokens.size() == 1; });
    const std::uint32_t tile_tokens = work.single_tokens ? 1 : attention.tile_tokens();
    std::uint32_t most_splits = 1;
    for (const SequenceStep& step : steps)
        most_splits =
            std::max(most_splits, (end_position(step) - 1) / kPage / shared::kSplitPages + 1);
    const bool has_partials = most_splits <= limits_.max_splits;
    SplitPlan plan;
    if (has_partials && work.single_tokens && limits_.min_sharers > 0)
        plan = plan_splits(steps, attention);
    std::size_t n_table = 0;
    for (const SequenceStep& step : steps) n_table += step.pages.size();
    for (const SharedSplits& one : plan.shared) n_table += one.members.size();
    const auto table = section<std::uint32_t>(work.table, n_table);
    const auto tiles = section<shared::AttentionTile>(work.tiles, batch_.n_tokens);
    const auto shared_tiles = section<shared::AttentionTile>(work.shared_tiles, plan.shared.size());
    const auto merge = section<std::uint32_t>(work.merge_rows, std::size_t{batch_.n_tokens} * 2);
    std::uint32_t row = 0;
    std::uint32_t table_at = 0;
    std::vector<std::uint32_t> table_of;  // by step
    for (const SequenceStep& step : steps) {
        table_of.push_back(table_at);
        for (std::size_t i = 0; i < step.pages.size(); ++i)
            table[table_at + i] = to_index(step.pages[i]);
        for (std::uint32_t position = step.first_position; position < end_position(step);) {
            const std::uint32_t page = position / kPage;
            const std::uint32_t n = std::min(
                {tile_tokens, end_position(step) - position, (page + 1) * kPage - position});
            tiles[work.n_tiles++] = {
                .first_row = row,
                .n_rows = n,
                .table_offset = table_at,
                .n_sealed = page,
                .open_slot = step.open_slots[page - step.first_position / kPage],
                .first_token = position % kPage,
                .first_split = plan.shared.empty() ? 0 : plan.first_own[table_of.size() - 1]};
            for (std::uint32_t i = 0; i < n; ++i, ++row) {
                merge[2 * row] = row;
                merge[2 * row + 1] = position + i;
            }
            position += n;
        }
        table_at += static_cast<std::uint32_t>(step.pages.size());
    }
    n_shared_splits_ = 0;
    for (const SharedSplits& one : plan.shared) {
        n_shared_splits_ +=
            (one.end_split - one.first_split) * static_cast<std::uint32_t>(one.members.size());
        shared_tiles[work.n_shared_tiles++] = {
            .first_row = table_at,
            .n_rows = static_cast<std::uint32_t>(one.members.size()),
            .table_offset = table_of[one.members.front()],
            .n_sealed = one.end_split * shared::kSplitPages,
            .open_slot = 0,
            .first_token = 0,
            .first_split = one.first_split};
        // A token each: sequence and row are the same.
        for (const std::uint32_t member : one.members) table[table_at++] = member;
        work.n_shared_splits = std::max(work.n_shared_splits, one.end_split);
    }
    work.max_splits = 0;
    if (has_partials)
        work.max_splits = work.n_shared_tiles > 0
                              ? most_splits
                              : attention.splits_apart(work.n_tiles, most_splits);
}

void BatchWriter::write_seals(std::span<const SequenceStep> steps, std::uint32_t pages_per_slab) {
    batch_.n_sealed = 0;
    batch_.sealed_slabs = 0;
    seals_of_.clear();
    for (const SequenceStep& step : steps) {
        seals_of_.emplace_back(batch_.n_sealed, n_filled(step));
        batch_.n_sealed += n_filled(step);
    }
    const auto jobs = section<std::uint32_t>(batch_.seal_jobs, std::size_t{batch_.n_sealed} * 2);
    std::size_t job = 0;
    for (const SequenceStep& step : steps) {
        for (std::uint32_t i = 0; i < n_filled(step); ++i, ++job) {
            const std::uint32_t page = to_index(step.pages[step.first_position / kPage + i]);
            jobs[2 * job] = step.open_slots[i];
            jobs[2 * job + 1] = page;
            batch_.sealed_slabs |= 1U << (page / pages_per_slab);
        }
    }
    std::memset(status_.mapped().data(), 0, status_.bytes());
    batch_.seal_status = status_.slice();
}

const Batch& BatchWriter::write(std::span<const SequenceStep> steps,
                                const gpu::Attention& attention, std::uint32_t pages_per_slab) {
    at_ = 0;
    batch_.n_tokens = 0;
    batch_.logit_rows.clear();
    batch_.state_rows.clear();
    for (const SequenceStep& step : steps)
        batch_.n_tokens += static_cast<std::uint32_t>(step.tokens.size());
    KVASIR_CHECK(batch_.n_tokens <= limits_.max_tokens && steps.size() <= limits_.max_sequences,
                 "a step keeps its limits");
    write_tokens(steps);
    write_ropes(steps, batch_.ropes, UINT32_MAX);
    batch_.has_sinks =
        sink_span_ > 0 && std::any_of(steps.begin(), steps.end(), [&](const SequenceStep& step) {
            return step.first_position + step.tokens.size() > sink_span_;
        });
    if (batch_.has_sinks) write_ropes(steps, batch_.sink_ropes, sink_span_ - 1);
    write_attention(steps, attention);
    write_seals(steps, pages_per_slab);
    return batch_;
}

bool BatchWriter::is_finite(std::size_t i) const {
    const auto status = status_.mapped_as<const std::uint32_t>();
    const auto [first, n] = seals_of_[i];
    return std::all_of(status.begin() + first, status.begin() + first + n,
                       [](std::uint32_t bad) { return bad == 0; });
}

}  // namespace kvasir
