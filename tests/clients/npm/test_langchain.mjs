// npm's @langchain/openai: chats, completions and Responses.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AIMessageChunk, HumanMessage, SystemMessage, ToolMessage } from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import { ChatOpenAI, OpenAI } from '@langchain/openai';
import { z } from 'zod';
import { idle, isLook, model, ways } from './support.mjs';

const Animal = z.object({ who: z.enum(['fox', 'king']), count: z.number().int().min(1).max(9) });
const look = tool(() => 'Waves.', {
  name: 'look', description: 'Look somewhere.',
  schema: z.object({ at: z.enum(['sea', 'hill']), times: z.number().int().min(1).max(3) }) });
const said = [new SystemMessage('You tell tales.'), new HumanMessage('A tale of a fox, please.')];

for (const way of ways) {
  const make = (options) => new ChatOpenAI({
    model, apiKey: way.key, maxRetries: 0, maxTokens: 24, temperature: 0,
    configuration: { baseURL: way.host + '/v1', fetch: way.fetch }, ...options });

  describe('langchain over ' + way.name, { concurrency: 1 }, () => {
    const texts = [];
    for (const useResponsesApi of [false, true]) {
      const name = useResponsesApi ? 'responses' : 'chat';

      test(name + ': text whole and streamed', async () => {
        const chat = make({ useResponsesApi });
        const whole = await chat.invoke(said);
        assert.equal(whole.usage_metadata.output_tokens, 24);
        let all = null;
        for await (const chunk of await chat.stream(said)) all = all === null ? chunk : all.concat(chunk);
        assert.ok(all instanceof AIMessageChunk);
        assert.equal(all.text, whole.text);
        assert.equal(all.usage_metadata.output_tokens, 24);
        texts.push(whole.text);
      });

      test(name + ': a tool is called and its result taken back', async () => {
        const chat = make({ useResponsesApi, maxTokens: 120 });
        const forced = chat.bindTools([look], { tool_choice: 'look' });
        const first = await forced.invoke(said);
        assert.equal(first.tool_calls.length, 1);
        assert.equal(first.tool_calls[0].name, 'look');
        assert.ok(isLook(first.tool_calls[0].args));
        const result = await look.invoke(first.tool_calls[0]);
        assert.ok(result instanceof ToolMessage);
        const second = await chat.bindTools([look], { tool_choice: 'none' }).invoke([...said, first, result]);
        assert.equal(second.tool_calls.length, 0);
        let all = null;
        for await (const chunk of await forced.stream(said)) all = all === null ? chunk : all.concat(chunk);
        assert.equal(all.tool_calls.length, 1);
        assert.ok(isLook(all.tool_calls[0].args));
      });

      test(name + ': a schema', async () => {
        for (const method of ['jsonSchema', 'functionCalling']) {
          const chat = make({ useResponsesApi, maxTokens: 120 });
          const animal = await chat.withStructuredOutput(Animal, { name: 'animal', method, strict: true }).invoke(said);
          assert.ok(Animal.safeParse(animal).success, JSON.stringify(animal));
        }
      });

      test(name + ': errors and aborts', async () => {
        const chat = make({ useResponsesApi });
        await assert.rejects(chat.invoke([new HumanMessage('fox '.repeat(2000))]), (error) => error.status === 400);
        const controller = new AbortController();
        const endless = make({ useResponsesApi, temperature: 1, maxTokens: 400 });
        await assert.rejects(async () => {
          for await (const chunk of await endless.stream(said, { signal: controller.signal })) {
            assert.ok(chunk);
            controller.abort();
          }
        }, /abort/i);
        assert.ok(await idle());
      });
    }

    test('thoughts are told apart', async () => {
      const thinking = make({ useResponsesApi: true, modelKwargs: { reasoning: { effort: 'low' } } });
      const whole = await thinking.invoke(said);
      assert.equal(whole.text, '');
      assert.ok(whole.usage_metadata.output_token_details.reasoning > 10);
      const answer = await make({ useResponsesApi: true }).invoke([...said, whole, said[1]]); // goes back as it came
      assert.ok(answer.text.length > 0);
      let all = null;
      for await (const chunk of await thinking.stream(said)) all = all === null ? chunk : all.concat(chunk);
      assert.equal(all.text, '');
    });

    test('both doors gave the same text', () => assert.equal(new Set(texts).size, 1));

    test('many at once', async () => {
      const answers = await make({}).batch(Array.from({ length: 8 }, () => said));
      answers.forEach((answer) => assert.equal(answer.text, texts[0]));
    });

    test('completions', async () => {
      const plain = new OpenAI({ model, apiKey: way.key, maxRetries: 0, maxTokens: 12, temperature: 0,
        configuration: { baseURL: way.host + '/v1', fetch: way.fetch } });
      const whole = await plain.invoke('Once upon a time');
      let text = '';
      for await (const piece of await plain.stream('Once upon a time')) text += piece;
      assert.ok(whole.length > 5);
      assert.equal(text, whole);
    });

    test('a wrong key', { skip: way.name !== 'TCP' && 'the socket takes no key' }, async () => {
      await assert.rejects(make({ apiKey: 'wrong' }).invoke(said), (error) => error.status === 401);
    });
  });
}
