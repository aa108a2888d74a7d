// A conversation through the model's own chat template, as text and as token ids.
//
// What a client sends cannot forge special tokens: where a message says `<|im_end|>`, that text
// becomes plain tokens. A template decides everything else. It writes any special token it likes,
// may drop, date or reword messages, and may lower-case or cut them: a special token that it puts
// together from pieces that are none by themselves is one.
#pragma once

#include <boost/json/fwd.hpp>
#include <string>
#include <vector>

#include "daemon/engine/generation.hpp"
#include "daemon/http/completion_request.hpp"
#include "daemon/http/error_response.hpp"

namespace kvasir {

/// model_template where the model has one.
ChatWriter chat_writer(const ModelInfo& model);

/// Whether a conversation declares tools: models may have a template for these alone.
bool has_tools(const boost::json::object& variables);

/// variables: as take_chat_variables made them. Errors: 400 with the template's own sentence where
/// it raises one, and where it takes apart the text of a special token; blame messages.
ApiResult<std::string> render_with_template(const ModelInfo& model,
                                            const boost::json::object& variables);
/// truncates: the oldest turns go where the conversation does not fit, by the sizes that their
/// texts have alone; more where the template makes them longer. Errors: the same;
/// context_length_exceeded.
ApiResult<std::vector<TokenId>> encode_with_template(const ModelInfo& model,
                                                     const boost::json::object& variables,
                                                     bool truncates = false);

}  // namespace kvasir
