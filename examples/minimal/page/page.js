import { $, connect, el } from './look.js';

const client = connect();
const log = (text) => $('log').append(el('p', { textContent: text }));

client.addEventListener('message', ({ detail }) => log(detail.data));

$('form').addEventListener('submit', async (e) => {
  e.preventDefault();
  const text = $('text').value;
  $('text').value = '';
  try {
    await client.sendEvent('echo', text);
  } catch (error) {
    log(`Not sent: ${error.message}`);
  }
});

client.start();
