// npm's openai: completions, chats, Responses, errors.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import OpenAI from 'openai';
import { zodFunction, zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { eventually, idle, isLook, lookSchema, lookTool, messages, metric, model, ways } from './support.mjs';

const kHasEmbeddings = true; // true where the daemon serves POST /v1/embeddings

const Animal = z.object({ who: z.enum(['fox', 'king']), count: z.number().int().min(1).max(9) });
const isAnimal = (value) => ['fox', 'king'].includes(value.who) && value.count >= 1 && value.count <= 9;

for (const way of ways) {
  const make = (options = {}) =>
    new OpenAI({ baseURL: way.host + '/v1', apiKey: way.key, fetch: way.fetch, maxRetries: 0, ...options });
  const client = make();

  describe('openai over ' + way.name, { concurrency: 1 }, () => {
    test('the model is listed and retrieved', async () => {
      const ids = [];
      for await (const one of client.models.list()) ids.push(one.id);
      assert.deepEqual(ids, [model]);
      const one = await client.models.retrieve(model);
      assert.equal(one.id, model);
      assert.equal(one.object, 'model');
      await assert.rejects(client.models.retrieve('no-such-model'), OpenAI.NotFoundError);
    });

    test('completions: whole, streamed, several, by token ids', async () => {
      const body = { model, prompt: 'Once upon a time', max_tokens: 24, temperature: 0 };
      const whole = await client.completions.create(body);
      assert.equal(whole.object, 'text_completion');
      assert.equal(whole.usage.completion_tokens, 24);
      assert.equal(whole.choices[0].finish_reason, 'length');
      let text = '';
      let usage = null;
      const stream = await client.completions.create({ ...body, stream: true, stream_options: { include_usage: true } });
      for await (const chunk of stream) {
        text += chunk.choices[0]?.text ?? '';
        usage = chunk.usage ?? usage;
      }
      assert.equal(text, whole.choices[0].text);
      assert.equal(usage.total_tokens, whole.usage.total_tokens);
      const several = await client.completions.create({ ...body, prompt: ['Once upon a time', 'The king'], n: 2, echo: true });
      assert.equal(several.choices.length, 4);
      assert.equal(several.choices[0].text, 'Once upon a time' + text);
      assert.ok(several.choices[3].text.startsWith('The king'));
      const { tokens } = await client.post('/../tokenize', { body: { content: 'Once upon a time', add_special: true } });
      const byIds = await client.completions.create({ ...body, prompt: tokens });
      assert.equal(byIds.choices[0].text, text);
    });

    test('completions: logprobs', async () => {
      const { choices } = await client.completions.create({ model, prompt: 'The king', max_tokens: 5, temperature: 0, logprobs: 3 });
      const { tokens, token_logprobs, top_logprobs, text_offset } = choices[0].logprobs;
      assert.equal(tokens.join(''), choices[0].text);
      assert.equal(token_logprobs.length, 5);
      assert.equal(text_offset.length, 5);
      for (let i = 0; i < 5; ++i) {
        assert.equal(Math.max(...Object.values(top_logprobs[i])), token_logprobs[i]);
        assert.ok(token_logprobs[i] <= 0);
      }
    });

    test('chats: whole, streamed, logprobs, headers', async () => {
      const body = { model, messages, max_completion_tokens: 20, temperature: 0, logprobs: true, top_logprobs: 2 };
      const { data: whole, response, request_id } = await client.chat.completions.create(body).withResponse();
      assert.equal(response.status, 200);
      assert.ok(request_id, 'x-request-id');
      const choice = whole.choices[0];
      assert.equal(choice.message.role, 'assistant');
      assert.equal(choice.logprobs.content.length, 20);
      assert.equal(choice.logprobs.content.map((one) => one.token).join(''), choice.message.content);
      assert.equal(choice.logprobs.content[0].top_logprobs.length, 2);
      const stream = client.chat.completions.stream({ ...body, stream_options: { include_usage: true } });
      const seen = [];
      stream.on('content', (delta) => seen.push(delta));
      const final = await stream.finalChatCompletion();
      assert.equal(final.choices[0].message.content, choice.message.content);
      assert.equal(seen.join(''), choice.message.content);
      assert.equal(final.choices[0].logprobs.content.length, 20);
      assert.equal(final.choices[0].finish_reason, 'length');
      assert.equal((await stream.totalUsage()).completion_tokens, 20);
    });

    test('a seed repeats its text, n choices differ', async () => {
      const body = { model, messages, max_tokens: 24, seed: 7, n: 3 };
      const [first, again] = [await client.chat.completions.create(body), await client.chat.completions.create(body)];
      const texts = first.choices.map((choice) => choice.message.content);
      assert.deepEqual(again.choices.map((choice) => choice.message.content), texts);
      assert.equal(new Set(texts).size, 3);
    });

    test('an abort in mid-stream frees the place', async () => {
      assert.ok(await idle());
      const body = { model, prompt: 'Once upon a time', max_tokens: 400, stream: true };
      const stream = await client.completions.create({ ...body, ignore_eos: true });
      let n = 0;
      for await (const chunk of stream) {
        assert.ok(chunk.id);
        if (++n === 3) break; // which aborts
      }
      assert.ok(await idle());
      const controller = new AbortController();
      const waiting = client.completions.create({ ...body, stream: false, ignore_eos: true }, { signal: controller.signal });
      assert.ok(await eventually(async () => (await metric('kvasir_requests_running')) > 0));
      controller.abort();
      await assert.rejects(waiting, OpenAI.APIUserAbortError);
      assert.ok(await idle());
      await assert.rejects(make({ timeout: 50 }).completions.create({ ...body, stream: false, ignore_eos: true }),
        OpenAI.APIConnectionTimeoutError);
      assert.ok(await idle());
    });

    test('a schema holds through response_format', async () => {
      const body = { model, messages, max_tokens: 80, seed: 3 };
      const whole = await client.chat.completions.parse({ ...body, response_format: zodResponseFormat(Animal, 'animal') });
      assert.ok(isAnimal(whole.choices[0].message.parsed), whole.choices[0].message.content);
      const stream = client.chat.completions.stream({ ...body, response_format: zodResponseFormat(Animal, 'animal') });
      assert.deepEqual((await stream.finalChatCompletion()).choices[0].message.parsed, whole.choices[0].message.parsed);
      const object = await client.chat.completions.create({ ...body, seed: 4, max_tokens: 300, response_format: { type: 'json_object' } });
      if (object.choices[0].finish_reason === 'stop') JSON.parse(object.choices[0].message.content);
    });

    test('a tool is called and its result taken back', async () => {
      const body = { model, messages, max_tokens: 80, seed: 5, tools: [lookTool], tool_choice: 'required' };
      const first = await client.chat.completions.create(body);
      const { message, finish_reason } = first.choices[0];
      assert.equal(finish_reason, 'tool_calls');
      assert.equal(message.content, null);
      const [call] = message.tool_calls;
      assert.equal(call.function.name, 'look');
      assert.ok(isLook(JSON.parse(call.function.arguments)));
      const result = { role: 'tool', tool_call_id: call.id, content: 'Waves.' };
      const second = await client.chat.completions.create({ model, messages: [...messages, message, result], tools: [lookTool], max_tokens: 8 });
      assert.equal(second.choices[0].message.role, 'assistant');
      const stream = client.chat.completions.stream({ ...body, tool_choice: { type: 'function', function: { name: 'look' } } });
      const deltas = [];
      stream.on('tool_calls.function.arguments.delta', (event) => deltas.push(event.arguments_delta));
      const streamed = (await stream.finalChatCompletion()).choices[0];
      assert.equal(streamed.finish_reason, 'tool_calls');
      assert.ok(isLook(JSON.parse(streamed.message.tool_calls[0].function.arguments)));
      assert.equal(deltas.join(''), streamed.message.tool_calls[0].function.arguments);
    });

    test('the helper that runs tools runs one', async () => {
      const seen = [];
      const Look = z.object({ at: z.enum(['sea', 'hill']), times: z.number().int().min(1).max(3) });
      const tool = zodFunction({ name: 'look', parameters: Look, function: (args) => { seen.push(args); return 'Waves.'; } });
      const runner = client.chat.completions.runTools({
        model, messages, max_tokens: 80, seed: 5, tools: [tool], tool_choice: { type: 'function', function: { name: 'look' } } });
      assert.equal(await runner.finalFunctionToolCallResult(), 'Waves.');
      assert.equal(seen.length, 1);
      assert.ok(isLook(seen[0]));
    });

    test('responses: whole and streamed', async () => {
      const body = { model, instructions: 'You tell tales.', input: 'A tale of a fox, please.', max_output_tokens: 20, temperature: 0 };
      const whole = await client.responses.create(body);
      assert.equal(whole.status, 'incomplete');
      assert.equal(whole.incomplete_details.reason, 'max_output_tokens');
      const chat = await client.chat.completions.create({ model, messages, max_tokens: 20, temperature: 0 });
      assert.equal(whole.output_text, chat.choices[0].message.content);
      const stream = client.responses.stream(body);
      let text = '';
      stream.on('response.output_text.delta', (event) => { text += event.delta; });
      const final = await stream.finalResponse();
      assert.equal(text, whole.output_text);
      assert.equal(final.output_text, whole.output_text);
      assert.deepEqual(final.usage.output_tokens, 20);
      const types = [];
      for await (const event of await client.responses.create({ ...body, stream: true })) types.push(event.type);
      assert.equal(types[0], 'response.created');
      assert.equal(types.at(-1), 'response.incomplete');
      const history = await client.responses.create({ model, max_output_tokens: 4,
        input: [...messages, ...whole.output, { role: 'user', content: 'And then?' }] });
      assert.equal(history.output[0].type, 'message');
    });

    test('responses: a schema and a tool', async () => {
      const parsed = await client.responses.parse({ model, input: 'A fox.', max_output_tokens: 80, seed: 3,
        text: { format: zodTextFormat(Animal, 'animal') } });
      assert.ok(isAnimal(parsed.output_parsed), parsed.output_text);
      assert.equal(parsed.text.format.type, 'json_schema');
      const tools = [{ type: 'function', name: 'look', description: 'Look somewhere.', parameters: lookSchema, strict: true }];
      const body = { model, input: messages, tools, tool_choice: 'required', max_output_tokens: 80, seed: 5 };
      const whole = await client.responses.create(body);
      assert.equal(whole.status, 'completed');
      const [call] = whole.output;
      assert.equal(call.type, 'function_call');
      assert.ok(isLook(JSON.parse(call.arguments)));
      assert.deepEqual(whole.tools, tools);
      const stream = client.responses.stream({ ...body, tool_choice: { type: 'function', name: 'look' } });
      const deltas = [];
      stream.on('response.function_call_arguments.delta', (event) => deltas.push(event.delta));
      const final = await stream.finalResponse();
      assert.ok(isLook(final.output[0].parsed_arguments));
      assert.equal(deltas.join(''), final.output[0].arguments);
      const allowed = await client.responses.create({ ...body,
        tools: [...tools, { type: 'function', name: 'sleep', parameters: null, strict: null }],
        tool_choice: { type: 'allowed_tools', mode: 'required', tools: [{ type: 'function', name: 'sleep' }] } });
      assert.equal(allowed.output[0].name, 'sleep');
      const second = await client.responses.create({ model, tools, max_output_tokens: 8,
        input: [...messages, ...whole.output, { type: 'function_call_output', call_id: call.call_id, output: 'Waves.' }] });
      assert.equal(second.output[0].type, 'message');
    });

    test('thoughts are told apart', async () => {
      const chat = { model, messages, max_tokens: 20, temperature: 0, chat_template_kwargs: { enable_thinking: true } };
      const { message } = (await client.chat.completions.create(chat)).choices[0];
      assert.ok(message.reasoning_content.length > 10);
      assert.equal(message.content, '');
      const body = { model, input: messages, max_output_tokens: 20, temperature: 0, reasoning: { effort: 'low' } };
      const whole = await client.responses.create(body);
      assert.deepEqual(whole.output.map((item) => item.type), ['reasoning']);
      assert.equal(whole.output[0].content[0].text, message.reasoning_content);
      assert.ok(whole.usage.output_tokens_details.reasoning_tokens > 10);
      const stream = client.responses.stream(body);
      let thoughts = '';
      stream.on('response.reasoning_text.delta', (event) => { thoughts += event.delta; });
      const final = await stream.finalResponse();
      assert.equal(thoughts, message.reasoning_content);
      assert.equal(final.output[0].content[0].text, thoughts);
      assert.equal(final.output_text, '');
      const history = [...messages, ...whole.output, { role: 'assistant', content: 'Once.' }, messages[1]];
      const more = await client.responses.create({ model, input: history, max_output_tokens: 4 });
      assert.equal(more.output[0].type, 'message');
    });

    test('errors have their types', async () => {
      const rejects = async (promise, type, expected) => {
        const error = await promise.then(() => assert.fail('no error'), (one) => one);
        assert.equal(error.constructor.name, type.name, String(error));
        for (const [name, value] of Object.entries(expected)) assert.equal(error[name], value, name + ' of ' + error);
      };
      const chat = (fields) => client.chat.completions.create({ model, messages, max_tokens: 2, ...fields });
      await rejects(chat({ temperature: 9 }), OpenAI.BadRequestError, { status: 400, param: 'temperature', type: 'invalid_request_error' });
      await rejects(chat({ temperature: 9, stream: true }), OpenAI.BadRequestError, { status: 400, param: 'temperature' });
      await rejects(chat({ messages: [] }), OpenAI.BadRequestError, { param: 'messages' });
      await rejects(chat({ messages: [{ role: 'user', content: 'fox '.repeat(2000) }] }), OpenAI.BadRequestError,
        { code: 'context_length_exceeded', param: 'messages' });
      await rejects(chat({ response_format: { type: 'json_schema', json_schema: { name: 'x', schema: { not: {} } } } }),
        OpenAI.BadRequestError, { status: 400 });
      await rejects(client.responses.create({ model, input: 'a', previous_response_id: 'resp_1' }), OpenAI.BadRequestError,
        { code: 'unsupported_parameter', param: 'previous_response_id' });
      await rejects(client.responses.retrieve('resp_1'), OpenAI.NotFoundError, { status: 404 });
      await rejects(client.images.generate({ prompt: 'a fox' }), OpenAI.NotFoundError, { status: 404 });
      await rejects(client.get('/sessions/none'), OpenAI.NotFoundError, { status: 404, code: 'not_found' });
      await rejects(client.put('/completions', { body: {} }), OpenAI.APIError, { status: 405 });
      await rejects(chat({ messages: [{ role: 'user', content: 'x'.repeat(9 << 20) }] }), OpenAI.APIError, { status: 413 });
      await rejects(make({ baseURL: 'http://127.0.0.1:1/v1', fetch: undefined }).models.list(), OpenAI.APIConnectionError, {});
      if (way.name !== 'TCP') return;
      await rejects(make({ apiKey: 'wrong' }).models.list(), OpenAI.AuthenticationError, { status: 401, code: 'invalid_api_key' });
      await rejects(make({ apiKey: 'wrong' }).chat.completions.create({ model, messages, stream: true }), OpenAI.AuthenticationError,
        { status: 401 });
      await rejects(client.get('/../metrics'), OpenAI.PermissionDeniedError, { status: 403, code: 'forbidden' });
    });

    test('a session in use is a ConflictError', async () => {
      const session = '/sessions/npm-' + (way.key === 'unused' ? 'unix' : 'tcp');
      const stream = await client.completions.create(
        { model, prompt: 'Once upon a time', max_tokens: 400, ignore_eos: true, stream: true, session_id: session.slice(10) });
      for await (const chunk of stream) {
        assert.ok(chunk.id);
        await assert.rejects(client.patch(session, { body: { truncate_to: 1 } }), (error) => error instanceof OpenAI.ConflictError);
        break;
      }
      assert.ok(await idle());
      await client.delete(session);
    });

    test('a full queue is a RateLimitError, which waiting mends', async () => {
      assert.ok(await idle());
      const controller = new AbortController();
      const body = { model, prompt: 'Once upon a time', max_tokens: 300, ignore_eos: true };
      const errors = [];
      const all = Array.from({ length: 90 }, () =>
        client.completions.create(body, { signal: controller.signal }).then(() => {}, (error) => {
          errors.push(error);
          controller.abort();
        }));
      await Promise.all(all);
      const limited = errors.filter((error) => error instanceof OpenAI.RateLimitError);
      assert.ok(limited.length > 0, errors.map(String).slice(0, 3).join('\n'));
      assert.equal(limited[0].status, 429);
      assert.equal(limited[0].code, 'rate_limit_exceeded');
      assert.ok(Number(limited[0].headers.get('retry-after')) >= 1);
      assert.ok(await idle());
    });

    test('32 requests at once get what each would get alone', async () => {
      const prompts = Array.from({ length: 8 }, (_, i) => ['The fox', 'A king', 'One day', 'The sea'][i % 4] + (i < 4 ? '' : ' was'));
      const ask = async (prompt) => (await client.completions.create({ model, prompt, max_tokens: 16, temperature: 0 })).choices[0].text;
      const alone = [];
      for (const prompt of prompts) alone.push(await ask(prompt));
      const together = await Promise.all(Array.from({ length: 32 }, (_, i) => ask(prompts[i % 8])));
      together.forEach((text, i) => assert.equal(text, alone[i % 8]));
    });

    test('embeddings', { skip: !kHasEmbeddings && 'not served yet' }, async () => {
      const input = ['The fox ran.', 'A king slept.'];
      const asBytes = await client.embeddings.create({ model, input }); // base64, which the client decodes
      const asNumbers = await client.embeddings.create({ model, input, encoding_format: 'float' });
      assert.equal(asBytes.data.length, 2);
      for (let i = 0; i < 2; ++i) {
        const [bytes, numbers] = [asBytes.data[i].embedding, asNumbers.data[i].embedding];
        assert.equal(asBytes.data[i].index, i);
        assert.equal(bytes.length, numbers.length);
        bytes.forEach((value, k) => assert.ok(Math.abs(value - numbers[k]) < 1e-6));
        assert.ok(Math.abs(Math.hypot(...numbers) - 1) < 1e-3);
      }
      assert.ok(asBytes.usage.prompt_tokens > 0);
    });
  });
}
