// npm's ollama.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Ollama } from 'ollama';
import { idle, isLook, lookTool, messages, model, ways } from './support.mjs';

const animal = {
  type: 'object',
  properties: { who: { enum: ['fox', 'king'] }, count: { type: 'integer', minimum: 1, maximum: 9 } },
  required: ['who', 'count'],
  additionalProperties: false,
};
const isAnimal = (value) => ['fox', 'king'].includes(value.who) && value.count >= 1 && value.count <= 9;

for (const way of ways) {
  const make = (key) => new Ollama({ host: way.host, fetch: way.fetch, headers: { Authorization: 'Bearer ' + key } });
  const client = make(way.key);
  const options = { temperature: 0, num_predict: 20 };

  describe('ollama over ' + way.name, { concurrency: 1 }, () => {
    test('the model is listed, shown and running', async () => {
      assert.deepEqual((await client.list()).models.map((one) => one.name), [model]);
      assert.equal((await client.ps()).models[0].model, model);
      const show = await client.show({ model });
      assert.equal(show.details.family, 'llama');
      assert.deepEqual(show.capabilities, ['completion', 'embedding', 'tools', 'thinking']);
      assert.ok((await client.version()).version);
    });

    test('chats and prompts, whole and streamed', async () => {
      const whole = await client.chat({ model, messages, options });
      assert.equal(whole.eval_count, 20);
      assert.equal(whole.done_reason, 'length');
      let text = '';
      let last = null;
      for await (const part of await client.chat({ model, messages, options, stream: true })) {
        text += part.message.content;
        last = part;
      }
      assert.equal(text, whole.message.content);
      assert.equal(last.done, true);
      assert.equal(last.eval_count, 20);
      const generate = await client.generate({ model, system: messages[0].content, prompt: messages[1].content, options });
      assert.equal(generate.response, text);
      text = '';
      for await (const part of await client.generate({ model, prompt: 'The king', raw: true, options, stream: true })) text += part.response;
      assert.equal(text, (await client.generate({ model, prompt: 'The king', raw: true, options })).response);
      const more = await client.generate({ model, prompt: 'And then?', context: generate.context, options });
      assert.ok(more.prompt_eval_count > generate.context.length);
      assert.equal((await client.chat({ model })).done_reason, 'load');
    });

    test('thoughts are told apart, and none are there where none are wanted', async () => {
      const { message } = await client.chat({ model, messages, options, think: true });
      assert.ok(message.thinking.length > 10);
      assert.equal(message.content, '');
      let thoughts = '';
      for await (const part of await client.chat({ model, messages, options, think: 'low', stream: true })) thoughts += part.message.thinking ?? '';
      assert.equal(thoughts, message.thinking);
      const generate = await client.generate({ model, system: messages[0].content, prompt: messages[1].content, options, think: true });
      assert.equal(generate.thinking, thoughts);
      const plain = await client.chat({ model, messages, options, think: false });
      assert.equal(plain.message.thinking, undefined);
      assert.ok(plain.message.content.length > 10);
      const more = await client.chat({ model, messages: [...messages, message, messages[1]], options });
      assert.equal(more.message.role, 'assistant');
    });

    test('a conversation with a tool', async () => {
      const body = { model, messages, tools: [lookTool], options: { seed: 5, num_predict: 80 } };
      await client.chat({ ...body, options }); // it may call, and need not
      const { message } = await client.chat({ ...body, tool_choice: 'required' });
      assert.equal(message.tool_calls.length, 1);
      const call = message.tool_calls[0].function;
      assert.equal(call.name, 'look');
      assert.ok(isLook(call.arguments));
      const result = { role: 'tool', tool_name: call.name, content: 'Waves.' };
      const second = await client.chat({ ...body, messages: [...messages, message, result], options });
      assert.equal(second.message.role, 'assistant');
      const calls = [];
      for await (const part of await client.chat({ ...body, tool_choice: 'required', stream: true }))
        calls.push(...(part.message.tool_calls ?? []));
      assert.deepEqual(calls.map((one) => one.function), [call]);
    });

    test('a schema', async () => {
      const { message } = await client.chat({ model, messages, format: animal, options: { seed: 3, num_predict: 80 } });
      assert.ok(isAnimal(JSON.parse(message.content)), message.content);
      const { response } = await client.generate({ model, prompt: 'A fox.', format: animal, options: { seed: 3, num_predict: 80 } });
      assert.ok(isAnimal(JSON.parse(response)), response);
    });

    test('an abort in mid-stream frees the place', async () => {
      const stream = await client.generate({ model, prompt: 'Once', raw: true, stream: true, options: { temperature: 1 } });
      await assert.rejects(async () => {
        for await (const part of stream) {
          assert.ok(part);
          stream.abort();
        }
      }, { name: 'AbortError' });
      assert.ok(await idle());
    });

    test('errors', async () => {
      const rejects = async (promise, status, text) => {
        const error = await promise.then(() => assert.fail('no error'), (one) => one);
        assert.equal(error.name, 'ResponseError', String(error));
        assert.equal(error.status_code, status);
        assert.match(error.message, text);
      };
      await rejects(client.chat({ model, messages, options: { temperature: -1 } }), 400, /options\.temperature/);
      await rejects(client.chat({ model, messages, stream: true, format: 'yaml' }), 400, /format/);
      await rejects(client.generate({ model, prompt: 'fox '.repeat(2000) }), 400, /tokens/);
      await rejects(client.chat({ model, messages: [{ role: 'user', content: 'a', images: ['aGk='] }] }), 400, /images/);
      await rejects(client.delete({ model }), 404, /no such route/);
      if (way.name === 'TCP') await rejects(make('wrong').list(), 401, /key/);
    });

    test('32 chats at once', async () => {
      const alone = (await client.chat({ model, messages, options })).message.content;
      const together = await Promise.all(Array.from({ length: 32 }, () => client.chat({ model, messages, options })));
      together.forEach((answer) => assert.equal(answer.message.content, alone));
    });
  });
}
