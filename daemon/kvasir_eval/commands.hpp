// The commands of kvasir-eval. Each parses its own options, prints its result to stdout and errors
// to stderr.
#pragma once

#include <string>
#include <vector>

#include "config/base/error.hpp"

namespace kvasir::eval {

using Arguments = std::vector<std::string>;

Result<> run_logits(const Arguments& arguments);
Result<> run_generate(const Arguments& arguments);
Result<> run_tokenize(const Arguments& arguments);
Result<> run_render(const Arguments& arguments);
Result<> run_bench(const Arguments& arguments);
Result<> run_perplexity(const Arguments& arguments);
Result<> run_cache_sim(const Arguments& arguments);

}  // namespace kvasir::eval
