// npm's ai with its OpenAI-compatible provider (chats, completions) and its OpenAI provider (Responses).
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, generateText, Output, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import { idle, isLook, messages, model, ways } from './support.mjs';

const Animal = z.object({ who: z.enum(['fox', 'king']), count: z.number().int().min(1).max(9) });
const Look = z.object({ at: z.enum(['sea', 'hill']), times: z.number().int().min(1).max(3) });

for (const way of ways) {
  const compatible = createOpenAICompatible({
    name: 'kvasir', baseURL: way.host + '/v1', apiKey: way.key, fetch: way.fetch,
    includeUsage: true, supportsStructuredOutputs: true });
  const openai = createOpenAI({ baseURL: way.host + '/v1', apiKey: way.key, fetch: way.fetch });
  const models = {
    'openai-compatible, chat': compatible.chatModel(model),
    'openai, chat': openai.chat(model),
    'openai, responses': openai.responses(model),
  };
  const common = { system: messages[0].content, prompt: messages[1].content, maxRetries: 0, temperature: 0, maxOutputTokens: 24 };

  describe('ai over ' + way.name, { concurrency: 1 }, () => {
    const texts = [];
    for (const [name, one] of Object.entries(models)) {
      test(name + ': text whole and streamed', async () => {
        const whole = await generateText({ ...common, model: one });
        assert.equal(whole.finishReason, 'length');
        assert.equal(whole.usage.outputTokens, 24);
        assert.ok(whole.text.length > 10);
        const stream = streamText({ ...common, model: one, onError: ({ error }) => assert.fail(error) });
        let text = '';
        for await (const delta of stream.textStream) text += delta;
        assert.equal(text, whole.text);
        assert.equal(await stream.finishReason, 'length');
        assert.equal((await stream.usage).outputTokens, 24);
        texts.push(text);
      });

      test(name + ': a schema', async () => {
        const body = { ...common, maxOutputTokens: 120, output: Output.object({ schema: Animal }) };
        const { output } = await generateText({ ...body, model: one });
        assert.ok(Animal.safeParse(output).success, JSON.stringify(output));
        let last = null;
        for await (const partial of streamText({ ...body, model: one }).partialOutputStream) last = partial;
        assert.ok(Animal.safeParse(last).success, JSON.stringify(last));
      });

      test(name + ': a tool is called, run, and its result taken back', async () => {
        const seen = [];
        const look = tool({ description: 'Look somewhere.', inputSchema: Look, execute: (args) => { seen.push(args); return 'Waves.'; } });
        // The first step has to call, the second may say what it likes.
        const prepareStep = ({ stepNumber }) => (stepNumber === 0 ? { toolChoice: { type: 'tool', toolName: 'look' } } : { toolChoice: 'none' });
        const body = { ...common, maxOutputTokens: 120, tools: { look }, stopWhen: stepCountIs(2), prepareStep };
        const { steps } = await generateText({ ...body, model: one });
        assert.equal(steps.length, 2);
        assert.equal(steps[0].finishReason, 'tool-calls');
        assert.equal(seen.length, 1);
        assert.ok(isLook(seen[0]));
        const stream = streamText({ ...body, model: one, onError: ({ error }) => assert.fail(error) });
        const types = new Set();
        for await (const part of stream.fullStream) types.add(part.type);
        for (const type of ['tool-input-start', 'tool-input-delta', 'tool-call', 'tool-result']) assert.ok(types.has(type), type);
        assert.equal((await stream.steps).length, 2);
        assert.equal(seen.length, 2);
        assert.ok(isLook(seen[1]));
      });

      test(name + ': a conversation goes on', async () => {
        const first = await generateText({ ...common, model: one });
        const history = [{ role: 'user', content: messages[1].content }, ...first.response.messages, { role: 'user', content: 'And then?' }];
        const { text, request } = await generateText({ ...common, prompt: undefined, messages: history, model: one });
        assert.ok(text.length > 10);
        // Left to itself this one names what was said instead of sending it.
        if (name === 'openai, responses') assert.match(JSON.stringify(request.body), /item_reference/);
      });

      test(name + ': errors and aborts', async () => {
        const error = await generateText({ ...common, model: one, prompt: 'fox '.repeat(2000) })
          .then(() => null, (caught) => caught);
        assert.ok(APICallError.isInstance(error), String(error));
        assert.equal(error.statusCode, 400);
        assert.equal(error.isRetryable, false);
        assert.match(error.message, /tokens/);
        const controller = new AbortController();
        const stream = streamText({ ...common, model: one, maxOutputTokens: 400, temperature: 1, abortSignal: controller.signal });
        let aborted = false;
        for await (const part of stream.fullStream) {
          if (part.type === 'text-delta') controller.abort();
          aborted ||= part.type === 'abort';
        }
        assert.ok(aborted);
        assert.ok(await idle());
      });
    }

    test('thoughts are reasoning', async () => {
      const body = { ...common, providerOptions: { kvasir: { chat_template_kwargs: { enable_thinking: true } } } };
      const whole = await generateText({ ...body, model: compatible.chatModel(model) });
      assert.ok(whole.reasoningText.length > 10);
      assert.equal(whole.text, '');
      let thoughts = '';
      for await (const part of streamText({ ...body, model: compatible.chatModel(model) }).fullStream)
        if (part.type === 'reasoning-delta') thoughts += part.text;
      assert.equal(thoughts, whole.reasoningText);
      const efforts = { ...common, providerOptions: { openai: { reasoningEffort: 'low', forceReasoning: true } } };
      const { usage } = await generateText({ ...efforts, model: openai.responses(model) });
      assert.ok(usage.outputTokenDetails.reasoningTokens > 10, JSON.stringify(usage));
    });

    test('every provider got the same text', () => {
      assert.equal(texts.length, 3);
      assert.equal(new Set(texts).size, 1);
    });

    test('openai-compatible, completion', async () => {
      const one = compatible.completionModel(model);
      const body = { model: one, prompt: 'Once upon a time', maxRetries: 0, temperature: 0, maxOutputTokens: 12 };
      const { text } = await generateText(body);
      let streamed = '';
      for await (const delta of streamText(body).textStream) streamed += delta;
      assert.ok(text.length > 5);
      assert.equal(streamed, text);
    });

    test('a wrong key', { skip: way.name !== 'TCP' && 'the socket takes no key' }, async () => {
      const other = createOpenAI({ baseURL: way.host + '/v1', apiKey: 'wrong' });
      const error = await generateText({ ...common, model: other.chat(model) }).then(() => null, (caught) => caught);
      assert.equal(error.statusCode, 401);
    });
  });
}
