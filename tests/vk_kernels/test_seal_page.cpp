#include <boost/test/unit_test.hpp>
#include <cmath>
#include <functional>
#include <random>
#include <utility>
#include <vector>

#include "config/base/half.hpp"
#include "quant/kv_page.hpp"
#include "spv/seal_page.h"
#include "tests/support/gpu_fixture.hpp"
#include "tests/support/kv_fixture.hpp"
#include "vk_kernels/ops/seal_page.hpp"

namespace kvasir::gpu {
namespace {

using shared::kKvF16;
using shared::kKvF32;
using shared::kKvInt4;
using shared::kKvInt8;

using Random = std::mt19937;

/// f16 bits of the next element: token j, channel c of a head's keys or values.
using Pattern = std::function<std::uint32_t(Random&, std::uint32_t j, std::uint32_t c)>;

struct NamedPattern {
    const char* name;
    Pattern next;
};

std::uint32_t any_bits(Random& random) {
    return static_cast<std::uint32_t>(random() & 0xffffU);
}

std::uint32_t normal_bits(Random& random, float deviation) {
    return f32_to_f16(std::normal_distribution<float>(0, deviation)(random));
}

const std::vector<NamedPattern>& patterns() {
    static const std::vector<NamedPattern> all{
        {"normal", [](Random& r, auto, auto) { return normal_bits(r, 1.0F); }},
        {"outlier channels",
         [](Random& r, auto, std::uint32_t c) {
             return normal_bits(r, c % 11 == 3 ? 900.0F : 0.3F);
         }},
        {"constant", [](Random&, auto, auto) { return 0xb555U; }},
        {"constant a channel", [](Random&, auto, std::uint32_t c) { return 0x3000U + c * 9; }},
        {"ends of the range",
         [](Random& r, auto, auto) { return (any_bits(r) & 0x8000U) | 0x7bffU; }},
        {"denormals", [](Random& r, auto, auto) { return any_bits(r) & 0x83ffU; }},
        {"steps below the smallest f16",
         [](Random& r, auto, auto) { return 0x0005U + (any_bits(r) & 3U); }},
        {"zeros of both signs", [](Random& r, auto, auto) { return any_bits(r) & 0x8000U; }},
        {"neighbours far from zero",
         [](Random& r, auto, auto) { return 0x63d0U + any_bits(r) % 3; }},
        {"any finite",
         [](Random& r, auto, auto) {
             const std::uint32_t bits = any_bits(r);
             return (bits & 0x7c00U) == 0x7c00U ? bits & 0xbfffU : bits;
         }},
        // From here on some elements are not finite.
        {"a NaN here and there",
         [](Random& r, auto, auto) { return r() % 401 == 0 ? 0x7e01U : normal_bits(r, 1.0F); }},
        {"infinities here and there",
         [](Random& r, auto, auto) {
             return r() % 401 == 0 ? 0x7c00U | (any_bits(r) & 0x8000U) : normal_bits(r, 1.0F);
         }},
        {"anything", [](Random& r, auto, auto) { return any_bits(r); }},
        {"nothing but NaN", [](Random&, auto, auto) { return 0xffffU; }},
    };
    return all;
}

/// The open page of f16 bits, through the layout of words as kv_format.h draws it.
void fill_open(const KvPageShape& shape, const Pattern& next, Random& random,
               std::span<std::uint32_t> open) {
    const std::uint32_t d = shape.head_dim;
    const std::size_t half_page = open.size() / 2;
    for (std::size_t w = 0; w < open.size(); ++w) {
        const auto in_head = static_cast<std::uint32_t>(w % half_page % (16 * d));
        const bool is_value = w >= half_page;
        const std::uint32_t j = is_value ? in_head / (d / 2) : in_head % 32;
        const std::uint32_t c = is_value ? in_head % (d / 2) * 2 : in_head / 32 * 2;
        const std::uint32_t low = next(random, j, c);
        open[w] = low | next(random, j, c + 1) << 16;
    }
}

struct Job {
    std::uint32_t open_slot;
    std::uint32_t page;
};

/// Every pattern's page in an open slot of its own, and a page to seal it into.
std::vector<Job> fill_with_patterns(const KvPages& pages, Random& random) {
    const auto slots = shuffled(pages.n_open(), random);
    const auto ids = shuffled(pages.n_pages(), random);
    std::vector<Job> jobs;
    for (std::size_t i = 0; i < patterns().size(); ++i) {
        fill_open(pages.shape(), patterns()[i].next, random, pages.open(slots[i]));
        jobs.push_back({slots[i], ids[i]});
    }
    return jobs;
}

constexpr std::uint32_t kAllSlabs = 0xf;

using Record = std::function<void(Recorder&, const Slice& jobs, const Slice& status)>;

/// Runs the jobs and compares every page, written or not, and every status.
void check_jobs(Gpu& gpu, const KvPages& pages, const std::vector<Job>& jobs, const Record& record,
                std::uint32_t slabs = kAllSlabs) {
    const KvPageShape& shape = pages.shape();
    std::vector<std::uint32_t> words(shape.sealed_words(), 0xffffffffU);
    std::vector<std::vector<std::uint32_t>> expected(pages.n_pages(), words);
    std::vector<std::uint32_t> expected_status;
    for (const Job& job : jobs) {
        const bool is_left_out = (slabs >> (job.page / pages.layer().pages_per_slab) & 1U) == 0;
        const bool finite = seal_kv_page(shape, pages.open(job.open_slot), words);
        expected_status.push_back(finite || is_left_out ? 0 : 1);
        if (!is_left_out) expected[job.page] = words;
    }
    const Buffer job_buffer = gpu.buffer_of(jobs);
    const Buffer status = gpu.filled_buffer<std::uint32_t>(jobs.size(), 0);
    gpu.run([&](Recorder& recorder) { record(recorder, job_buffer.slice(), status.slice()); });
    for (std::uint32_t page = 0; page < pages.n_pages(); ++page) {
        const auto found = pages.page(page);
        const auto [at, other] = std::ranges::mismatch(found, expected[page]);
        if (at == found.end()) continue;
        const char* name = "not sealed";
        for (std::size_t i = 0; i < jobs.size(); ++i)
            if (jobs[i].page == page) name = patterns()[i % patterns().size()].name;
        BOOST_ERROR("head_dim " << shape.head_dim << ", formats " << shape.key_format << ":"
                                << shape.value_format << ", page \"" << name << "\": word "
                                << at - found.begin() << " of " << found.size() << " is "
                                << std::hex << *at << ", expected " << *other);
    }
    BOOST_TEST(contents<std::uint32_t>(status) == expected_status,
               boost::test_tools::per_element());
}

/// Seals every pattern through the op.
void check_shape(const KvPageShape& shape, std::uint32_t n_slabs = 1) {
    Gpu& gpu = Gpu::get();
    Random random(shape.head_dim * 16 + shape.key_format * 4 + shape.value_format);
    const auto n = static_cast<std::uint32_t>(patterns().size());
    const KvPages pages(gpu, shape, n + 2, n / n_slabs + 2, n_slabs);
    const auto jobs = fill_with_patterns(pages, random);
    SealPage op(*gpu.device, shape.n_kv_heads, shape.head_dim, shape.open_format);
    op.prepare(pages.layer().formats).value();
    check_jobs(gpu, pages, jobs,
               [&](Recorder& recorder, const Slice& job_slice, const Slice& status) {
                   op.record(recorder, job_slice, status, pages.layer(), n, kAllSlabs);
               });
}

constexpr std::array<std::uint32_t, 3> kFormats{kKvF16, kKvInt8, kKvInt4};

}  // namespace

BOOST_AUTO_TEST_SUITE(seal_page)

BOOST_AUTO_TEST_CASE(every_head_dim_is_sealed_as_the_reference_does_bit_by_bit) {
    for (std::uint32_t head_dim = 8; head_dim <= shared::kMaxHeadDim; head_dim += 8) {
        const std::uint32_t n_kv_heads = 1 + head_dim / 8 % 3;
        check_shape({n_kv_heads, head_dim, kKvInt4, kKvInt4, kKvF16});
        check_shape({n_kv_heads, head_dim, kKvInt8, kKvInt8, kKvF16});
    }
}

BOOST_AUTO_TEST_CASE(keys_and_values_are_sealed_in_any_two_formats) {
    for (const std::uint32_t head_dim : {40U, 64U, 96U})
        for (const std::uint32_t keys : kFormats)
            for (const std::uint32_t values : kFormats)
                check_shape({2, head_dim, keys, values, kKvF16});
}

BOOST_AUTO_TEST_CASE(an_f32_page_is_copied_and_its_infinities_are_reported) {
    Gpu& gpu = Gpu::get();
    Random random(7);
    const KvPageShape shape{3, 48, kKvF32, kKvF32, kKvF32};
    const KvPages pages(gpu, shape, 4, 6, 1);
    const std::vector<Job> jobs{{2, 5}, {0, 1}, {3, 0}};
    for (const Job& job : jobs)
        for (std::uint32_t& word : pages.open(job.open_slot))
            word = static_cast<std::uint32_t>(random() & 0xbfffffffU);
    pages.open(0)[17] = 0xff800000U;                      // a key, minus infinity
    pages.open(3)[shape.open_words() - 1] = 0x7fc00001U;  // the last value, NaN
    SealPage op(*gpu.device, shape.n_kv_heads, shape.head_dim, kKvF32);
    op.prepare({kKvF32, kKvF32}).value();
    check_jobs(gpu, pages, jobs,
               [&](Recorder& recorder, const Slice& job_slice, const Slice& status) {
                   op.record(recorder, job_slice, status, pages.layer(), 3, kAllSlabs);
               });
}

BOOST_AUTO_TEST_CASE(pages_go_to_their_slab_and_slabs_left_out_stay_as_they_are) {
    Gpu& gpu = Gpu::get();
    for (const std::uint32_t keys : kFormats) check_shape({2, 72, keys, kKvInt4, kKvF16}, 4);
    const KvPageShape shape{2, 64, kKvInt8, kKvInt4, kKvF16};
    Random random(8);
    const auto n = static_cast<std::uint32_t>(patterns().size());
    SealPage op(*gpu.device, shape.n_kv_heads, shape.head_dim, shape.open_format);
    op.prepare({shape.key_format, shape.value_format}).value();
    for (const std::uint32_t slabs : {0b0101U, 0b1000U, 0b0000U}) {
        const KvPages pages(gpu, shape, n, n / 4 + 1, 4);
        const auto jobs = fill_with_patterns(pages, random);
        check_jobs(
            gpu, pages, jobs,
            [&](Recorder& recorder, const Slice& job_slice, const Slice& status) {
                op.record(recorder, job_slice, status, pages.layer(), n, slabs);
            },
            slabs);
    }
}

BOOST_AUTO_TEST_CASE(the_bytes_do_not_depend_on_the_size_of_a_workgroup) {
    Gpu& gpu = Gpu::get();
    using SealKernel = Kernel<shared::SealPagePush, 4, 5>;
    const KvPageShape shape{2, 80, kKvInt4, kKvInt8, kKvF16};
    const auto n = static_cast<std::uint32_t>(patterns().size());
    for (const std::uint32_t threads : {1U, 7U, 32U, 128U}) {
        Random random(9);
        const KvPages pages(gpu, shape, n, n, 1);
        const auto jobs = fill_with_patterns(pages, random);
        const SealKernel kernel = SealKernel::create(*gpu.device, "seal_page", seal_page_spv,
                                                     {shape.head_dim, shape.key_format,
                                                      shape.value_format, kKvF16, threads})
                                      .value();
        check_jobs(
            gpu, pages, jobs, [&](Recorder& recorder, const Slice& job_slice, const Slice& status) {
                const shared::SealPagePush push{.n_kv_heads = 2, .pages_per_slab = n, .slab = 0};
                const KvLayer layer = pages.layer();
                kernel.record(recorder, {job_slice, layer.open, layer.slabs[0], status}, push,
                              {.x = n, .y = 2});
            });
    }
}

BOOST_AUTO_TEST_CASE(nothing_stays_of_what_a_page_held_before) {
    Gpu& gpu = Gpu::get();
    const KvPageShape shape{1, 32, kKvInt4, kKvInt4, kKvF16};
    const KvPages pages(gpu, shape, 1, 2, 1);
    SealPage op(*gpu.device, 1, 32, kKvF16);
    op.prepare({kKvInt4, kKvInt4}).value();
    Random random(10);
    for (int round = 0; round < 3; ++round) {
        fill_open(shape, patterns()[0].next, random, pages.open(0));
        check_jobs(gpu, pages, {{0, 1}},
                   [&](Recorder& recorder, const Slice& job_slice, const Slice& status) {
                       op.record(recorder, job_slice, status, pages.layer(), 1, kAllSlabs);
                   });
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir::gpu
