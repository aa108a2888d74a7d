#include <boost/test/unit_test.hpp>
#include <cstring>
#include <random>
#include <vector>

#include "tests/support/gpu_fixture.hpp"
#include "tests/support/weight_fixture.hpp"
#include "vk_kernels/ops/embed.hpp"

namespace kvasir::gpu {
namespace {

constexpr std::uint32_t kUntouched = 0xffffffffU;

/// Looks tokens up and compares every bit; rows past them must stay as they were.
void check_rows(Gpu& gpu, const Embed& embed, const TestMatrix& table, const Matrix& uploaded,
                const std::vector<std::uint32_t>& tokens) {
    const Buffer token_buffer = gpu.buffer_of(tokens);
    const Buffer y = gpu.filled_buffer<float>((tokens.size() + 1) * table.n_cols);
    gpu.run([&](Recorder& recorder) {
        embed.record(recorder, uploaded, token_buffer.slice(), y.slice(),
                     static_cast<std::uint32_t>(tokens.size()));
    });
    std::vector<std::uint32_t> expected((tokens.size() + 1) * table.n_cols, kUntouched);
    for (std::size_t t = 0; t < tokens.size(); ++t)
        std::memcpy(expected.data() + t * table.n_cols,
                    table.values.data() + std::size_t{tokens[t]} * table.n_cols,
                    std::size_t{table.n_cols} * 4);
    const auto found = contents<std::uint32_t>(y);
    for (std::size_t i = 0; i < expected.size(); ++i)
        if (found[i] != expected[i])
            BOOST_FAIL(table.format->name << " " << table.n_rows << " x " << table.n_cols
                                          << ": row " << i / table.n_cols << " column "
                                          << i % table.n_cols << " is " << std::hex << found[i]
                                          << ", expected " << expected[i]);
}

std::vector<std::uint32_t> some_tokens(std::uint32_t n_rows, std::size_t n, std::mt19937& random) {
    std::vector<std::uint32_t> tokens{0, n_rows - 1, n_rows - 1};
    while (tokens.size() < n) tokens.push_back(static_cast<std::uint32_t>(random() % n_rows));
    tokens.resize(n);
    return tokens;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(embed)

BOOST_AUTO_TEST_CASE(rows_are_those_the_reference_decoder_reads_bit_by_bit) {
    Gpu& gpu = Gpu::get();
    std::mt19937 random(1);
    for (const FormatInfo* format : kernel_formats()) {
        Embed op(*gpu.device);
        op.prepare(static_cast<std::uint32_t>(format->id)).value();
        for (const std::uint32_t n_cols : {8U, 32U, 96U, 128U, 136U, 256U, 704U, 768U}) {
            if (!fits(*format, n_cols)) continue;
            for (const std::uint32_t n_rows : {1U, 31U, 32U, 33U, 100U}) {
                const TestMatrix table = random_matrix(*format, n_rows, n_cols, random);
                const Matrix uploaded = table.upload(gpu);
                for (const std::size_t n : {1U, 2U, 33U})
                    check_rows(gpu, op, table, uploaded, some_tokens(n_rows, n, random));
            }
        }
    }
}

BOOST_AUTO_TEST_CASE(a_table_in_several_bindings_is_one_table) {
    Gpu& gpu = Gpu::get();
    std::mt19937 random(2);
    for (const FormatInfo* format : kernel_formats()) {
        Embed op(*gpu.device);
        op.prepare(static_cast<std::uint32_t>(format->id)).value();
        const TestMatrix table = random_matrix(*format, 150, whole_blocks(*format, 64), random);
        std::vector<std::uint32_t> tokens;
        for (std::uint32_t r = 0; r < table.n_rows; ++r) tokens.push_back((r * 67) % table.n_rows);
        check_rows(gpu, op, table, table.upload_in_parts(gpu, 64), tokens);
    }
}

BOOST_AUTO_TEST_CASE(rows_are_scaled_and_added_to_what_is_there) {
    Gpu& gpu = Gpu::get();
    std::mt19937 random(3);
    constexpr float kScale = 27.712812F;
    for (const FormatInfo* format : kernel_formats()) {
        Embed op(*gpu.device);
        const auto id = static_cast<std::uint32_t>(format->id);
        op.prepare(id).value();
        op.prepare(id, Embed::Mode::add).value();
        const std::uint32_t n_cols = whole_blocks(*format, 96);
        const TestMatrix tokens_table = random_matrix(*format, 50, n_cols, random);
        const TestMatrix positions_table = random_matrix(*format, 40, n_cols, random);
        const Matrix by_token = tokens_table.upload(gpu);
        const Matrix by_position = positions_table.upload(gpu);
        const auto tokens = some_tokens(50, 9, random);
        const auto positions = some_tokens(40, 9, random);
        const Buffer token_buffer = gpu.buffer_of(tokens);
        const Buffer position_buffer = gpu.buffer_of(positions);
        const Buffer y = gpu.filled_buffer<float>(tokens.size() * n_cols);
        gpu.run([&](Recorder& recorder) {
            op.record(recorder, by_token, token_buffer.slice(), y.slice(), 9, kScale);
            op.record(recorder, by_position, position_buffer.slice(), y.slice(), 9, 1,
                      Embed::Mode::add);
        });
        const auto found = contents<float>(y);
        for (std::size_t i = 0; i < found.size(); ++i) {
            const float scaled =
                kScale * tokens_table.values[std::size_t{tokens[i / n_cols]} * n_cols + i % n_cols];
            const float expected =
                scaled +
                positions_table.values[std::size_t{positions[i / n_cols]} * n_cols + i % n_cols];
            BOOST_TEST_REQUIRE(found[i] == expected, format->name << ", element " << i);
        }
    }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace kvasir::gpu
