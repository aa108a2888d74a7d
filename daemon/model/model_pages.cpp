// Model: sealed pages out of the device's memory and back in.
#include <algorithm>

#include "config/base/check.hpp"
#include "config/base/wipe.hpp"
#include "daemon/model/model.hpp"

namespace kvasir {

Result<> Model::read_page(PageId page, std::span<std::byte> bytes) {
    KVASIR_CHECK(bytes.size() == kv_->shape().page_bytes(), "a page's bytes, of all layers");
    if (!page_out_) {
        KVASIR_TRY(page_out_,
                   gpu::Buffer::create(*device_, bytes.size(), gpu::BufferDomain::readback));
    }
    KVASIR_TRY_VOID(recorder_->begin());
    std::uint64_t at = 0;
    for (std::uint32_t layer = 0; layer < kv_->n_layers(); ++layer) {
        const gpu::Slice slice = kv_->page(layer, to_index(page));
        recorder_->copy(slice, page_out_.slice(at, slice.bytes));
        at += slice.bytes;
    }
    KVASIR_TRY_VOID(recorder_->submit_and_wait());
    std::ranges::copy(page_out_.mapped().first(bytes.size()), bytes.begin());
    return {};
}

Result<> Model::write_page(PageId page, std::span<const std::byte> bytes) {
    KVASIR_CHECK(bytes.size() == kv_->shape().page_bytes(), "a page's bytes, of all layers");
    KVASIR_TRY_VOID(reserve_pages(to_index(page) + 1));
    if (!page_in_) {
        KVASIR_TRY(page_in_,
                   gpu::Buffer::create(*device_, bytes.size(), gpu::BufferDomain::upload));
    }
    std::ranges::copy(bytes, page_in_.mapped().begin());
    KVASIR_TRY_VOID(recorder_->begin());
    std::uint64_t at = 0;
    for (std::uint32_t layer = 0; layer < kv_->n_layers(); ++layer) {
        const gpu::Slice slice = kv_->page(layer, to_index(page));
        recorder_->copy(page_in_.slice(at, slice.bytes), slice);
        at += slice.bytes;
    }
    return recorder_->submit_and_wait();
}

Result<> Model::scrub(std::span<const PageId> pages, std::span<const std::uint32_t> open_slots) {
    KVASIR_TRY_VOID(recorder_->begin());
    for (std::uint32_t layer = 0; layer < kv_->n_layers(); ++layer) {
        for (const PageId page : pages)
            if (kv_->has_page(to_index(page)))
                recorder_->fill_zero(kv_->page(layer, to_index(page)));
        for (const std::uint32_t slot : open_slots)
            recorder_->fill_zero(kv_->open_page(layer, slot));
    }
    activations_.record_zero(*recorder_);
    KVASIR_TRY_VOID(recorder_->submit_and_wait());
    if (page_out_) wipe(page_out_.mapped());
    if (page_in_) wipe(page_in_.mapped());
    writer_->wipe_upload();
    return {};
}

Result<> Model::copy_open_page(std::uint32_t from, std::uint32_t to) {
    KVASIR_TRY_VOID(recorder_->begin());
    for (std::uint32_t layer = 0; layer < kv_->n_layers(); ++layer)
        recorder_->copy(kv_->open_page(layer, from), kv_->open_page(layer, to));
    return recorder_->submit_and_wait();
}

}  // namespace kvasir
