// The forms of the reference page. The key and what is typed stay in the page.
(() => {
  "use strict";
  const WIDE = "(min-width: 62rem)";

  function parse(text, what) {
    try {
      return JSON.parse(text);
    } catch (error) {
      throw new Error(`${what} is not JSON: ${error.message}`);
    }
  }

  const READERS = {
    string: (text) => text,
    boolean: (text) => text === "true",
    number: (text) => (Number.isFinite(Number(text)) ? Number(text) : text),
    list: parse,
    "string-or-list": (text, what) => (text.startsWith("[") ? parse(text, what) : text),
    json: (text, what) => (/^\s*[[{"]/.test(text) || !Number.isNaN(Number(text)) ? parse(text, what) : text),
  };

  // An empty field is left out, unless it is a text that must be given: that may be empty.
  function parameters(form) {
    const result = {};
    for (const field of form.querySelectorAll("[data-param]")) {
      const { param, kind } = field.dataset;
      const mustBeGiven = "required" in field.dataset && kind.startsWith("string");
      if (field.value !== "" || mustBeGiven) result[param] = READERS[kind](field.value, param);
    }
    return result;
  }

  // A reply as people read it: the event, if there is one, and the text.
  function read(text) {
    try {
      const value = JSON.parse(text);
      return { event: value?.event, text: JSON.stringify(value, null, 2) };
    } catch {
      return { text };
    }
  }

  async function send(form) {
    const body = JSON.stringify(parameters(form));
    const start = performance.now();
    const response = await fetch(form.dataset.endpoint, {
      method: "POST",
      headers: {
        "Content-Type": "application/json",
        Authorization: `Bearer ${document.getElementById("key").value.trim()}`,
      },
      body,
      credentials: "omit",
    });
    const { event, text } = read(await response.text());
    const time = Math.round(performance.now() - start);
    const status = `Status ${response.status} ${response.statusText}`.trim();
    return { outcome: `${status}${event ? `, event ${event}` : ""}, after ${time} ms`, text };
  }

  async function submit(event) {
    event.preventDefault();
    const form = event.target;
    const [button, outcome, answer] = ["button", ".outcome", ".answer"].map((name) => form.querySelector(name));
    button.disabled = true;
    outcome.textContent = "Sending\u2026";
    answer.textContent = "";
    try {
      const reply = await send(form);
      outcome.textContent = reply.outcome;
      answer.textContent = reply.text;
    } catch (error) {
      outcome.textContent = error instanceof TypeError ? "The server did not reply." : error.message;
    }
    answer.hidden = !answer.textContent;
    button.disabled = false;
  }

  for (const form of document.forms) form.addEventListener("submit", submit);
  document.getElementById("contents").open = matchMedia(WIDE).matches;
})();
