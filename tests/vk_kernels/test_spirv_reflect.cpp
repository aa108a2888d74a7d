#include <boost/test/unit_test.hpp>
#include <span>
#include <string>
#include <vector>

#include "spv/add_experts.h"
#include "spv/add_norm.h"
#include "spv/attention_merge.h"
#include "spv/attention_paged.h"
#include "spv/attention_paged_cpu.h"
#include "spv/attention_paged_shuffle.h"
#include "spv/choose_experts.h"
#include "spv/embed.h"
#include "spv/group_experts.h"
#include "spv/mat_mul.h"
#include "spv/mat_mul_cpu.h"
#include "spv/rope_append_kv.h"
#include "spv/seal_page.h"
#include "tests/support/gpu_fixture.hpp"
#include "vk_kernels/kernel.hpp"
#include "vk_kernels/shared/add_norm.h"
#include "vk_kernels/shared/attention_paged.h"
#include "vk_kernels/shared/embed.h"
#include "vk_kernels/shared/experts.h"
#include "vk_kernels/shared/mat_mul.h"
#include "vk_kernels/shared/rope_append_kv.h"
#include "vk_kernels/shared/seal_page.h"
#include "vk_kernels/spirv_reflect.hpp"

namespace kvasir::gpu {
namespace {

using Words = std::span<const std::uint32_t>;

struct Shader {
    const char* name;
    Words words;
    std::size_t push_bytes;
    std::uint32_t n_bindings;
    std::uint32_t n_specs;
};

const std::vector<Shader>& shaders() {
    static const std::vector<Shader> all{
        {"embed", embed_spv, sizeof(shared::EmbedPush), 3, 3},
        {"mat_mul", mat_mul_spv, sizeof(shared::MatMulPush), 6, 10},
        {"mat_mul_cpu", mat_mul_cpu_spv, sizeof(shared::MatMulPush), 6, 10},
        {"rope_append_kv", rope_append_kv_spv, sizeof(shared::RopeAppendKvPush), 8, 6},
        {"seal_page", seal_page_spv, sizeof(shared::SealPagePush), 4, 5},
        {"attention_paged", attention_paged_spv, sizeof(shared::AttentionPush), 11, 11},
        {"attention_paged_cpu", attention_paged_cpu_spv, sizeof(shared::AttentionPush), 11, 11},
        {"attention_paged_shuffle", attention_paged_shuffle_spv, sizeof(shared::AttentionPush), 11,
         11},
        {"attention_merge", attention_merge_spv, sizeof(shared::AttentionMergePush), 3, 2},
        {"add_norm", add_norm_spv, sizeof(shared::AddNormPush), 3, 1},
        {"choose_experts", choose_experts_spv, sizeof(shared::ChooseExpertsPush), 3, 1},
        {"group_experts", group_experts_spv, sizeof(shared::GroupExpertsPush), 2, 1},
        {"add_experts", add_experts_spv, sizeof(shared::AddExpertsPush), 3, 1},
    };
    return all;
}

template <class Push, std::uint32_t kBindings, std::uint32_t kSpecs>
std::string refusal(Words words) {
    using AnyKernel = Kernel<Push, kBindings, kSpecs>;
    const auto kernel = AnyKernel::create(*Gpu::get().device, "tested", words, {});
    BOOST_TEST_REQUIRE(kernel.has_error());
    BOOST_TEST((kernel.error().code == ErrorCode::unsupported));
    return kernel.error().message;
}

struct LongerPush {
    shared::EmbedPush push;
    std::uint32_t more;
};

bool says_differ(const std::string& message) {
    return message.starts_with("tested: shader and host interface differ");
}

}  // namespace

BOOST_AUTO_TEST_SUITE(spirv_reflect)

BOOST_AUTO_TEST_CASE(every_shader_wants_what_its_shared_header_says) {
    for (const Shader& shader : shaders()) {
        const SpirvInterface found = reflect_spirv(shader.words).value();
        BOOST_TEST(found.push_bytes == shader.push_bytes, shader.name);
        BOOST_TEST(found.binding_mask == (1U << shader.n_bindings) - 1, shader.name);
        BOOST_TEST(found.spec_mask == (1U << shader.n_specs) - 1, shader.name);
    }
}

BOOST_AUTO_TEST_CASE(a_module_cut_anywhere_is_an_error_or_a_module_that_wants_less) {
    for (const Shader& shader : shaders()) {
        const SpirvInterface whole = reflect_spirv(shader.words).value();
        std::size_t n_errors = 0;
        for (std::size_t n = 0; n < shader.words.size(); ++n) {
            const auto cut = reflect_spirv(shader.words.first(n));
            if (cut.has_error()) {
                BOOST_TEST_REQUIRE((cut.error().code == ErrorCode::corrupt));
                ++n_errors;
                continue;
            }
            BOOST_TEST_REQUIRE(n >= 5U);
            BOOST_TEST_REQUIRE((cut->binding_mask & ~whole.binding_mask) == 0U);
            BOOST_TEST_REQUIRE((cut->spec_mask & ~whole.spec_mask) == 0U);
        }
        BOOST_TEST(n_errors > shader.words.size() / 2, shader.name);
    }
}

BOOST_AUTO_TEST_CASE(words_that_are_no_module_are_an_error) {
    const std::vector<std::uint32_t> good(mat_mul_spv, mat_mul_spv + std::size(mat_mul_spv));
    std::vector<std::uint32_t> wrong_magic = good;
    wrong_magic[0] ^= 1;
    BOOST_TEST(reflect_spirv(wrong_magic).has_error());
    BOOST_TEST(reflect_spirv({}).has_error());
    std::vector<std::uint32_t> no_length = good;
    no_length[5] &= 0xffffU;  // an instruction of 0 words would never end
    BOOST_TEST(reflect_spirv(no_length).has_error());
    std::vector<std::uint32_t> too_long = good;
    too_long[5] |= 0xffff0000U;
    BOOST_TEST(reflect_spirv(too_long).has_error());
}

BOOST_AUTO_TEST_CASE(any_word_may_change_without_a_crash) {
    std::vector<std::uint32_t> words(embed_spv, embed_spv + std::size(embed_spv));
    for (std::uint32_t& word : words) {
        for (std::uint32_t bit = 0; bit < 32; ++bit) {
            word ^= 1U << bit;
            const auto found = reflect_spirv(words);
            BOOST_TEST_REQUIRE((found.has_value() || !found.error().message.empty()));
            word ^= 1U << bit;
        }
    }
}

BOOST_AUTO_TEST_CASE(a_host_that_binds_something_else_is_refused_and_told_what) {
    using shared::EmbedPush;
    const std::string bindings = refusal<EmbedPush, 4, 3>(embed_spv);
    BOOST_TEST(says_differ(bindings), bindings);
    BOOST_TEST((bindings.find("bindings 0x7, expected 0xf") != bindings.npos), bindings);
    const std::string specs = refusal<EmbedPush, 3, 2>(embed_spv);
    BOOST_TEST(says_differ(specs), specs);
    BOOST_TEST((specs.find("spec constants 0x7, expected 0x3") != specs.npos), specs);
    const std::string push = refusal<LongerPush, 3, 3>(embed_spv);
    BOOST_TEST(says_differ(push), push);
    BOOST_TEST((push.find("push 24 bytes, expected 28") != push.npos), push);
    const std::string other = refusal<EmbedPush, 3, 3>(seal_page_spv);
    BOOST_TEST(says_differ(other), other);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir::gpu
