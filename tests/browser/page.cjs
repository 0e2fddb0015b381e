// Opens a page of a review in Chromium and tells, as one line of JSON, what a reader and a printer get of it.

const { chromium } = require("playwright-core");

const [executablePath, page, pdf] = process.argv.slice(2);

(async () => {
  // The tests may run as root, where Chromium has no sandbox; the page is our own.
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  const tab = await browser.newPage({ viewport: { width: 1200, height: 900 } });
  const seen = { requests: [], dialogs: [], errors: [] };
  tab.on("request", (request) => seen.requests.push(request.url()));
  tab.on("dialog", (dialog) => {
    seen.dialogs.push(dialog.message());
    dialog.dismiss();
  });
  tab.on("pageerror", (error) => seen.errors.push(String(error)));
  tab.on("console", (message) => seen.errors.push(message.text()));
  await tab.goto(page, { waitUntil: "networkidle" });
  const shown = await tab.evaluate(() => {
    const text = (element) => element.innerText.trim();
    const top = (selector) => document.querySelector(selector).getBoundingClientRect().top;
    return {
      title: document.title,
      head: [...document.querySelectorAll("thead th")].map((cell) => cell.textContent),
      rows: [...document.querySelectorAll("tbody tr")].map((row) => [...row.cells].map(text)),
      copied: [...document.querySelectorAll("code")].map(text),
      elements: [...new Set([...document.querySelectorAll("body *")].map((element) => element.localName))].sort(),
      sum: text(document.querySelector(".sum")),
      order: [top("header"), top(".sum"), top("table")],
      // Nothing has to be scrolled sideways to be read.
      overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    };
  });
  await tab.emulateMedia({ media: "print" });
  const background = await tab.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await tab.pdf({ path: pdf, format: "A4" });
  await browser.close();
  console.log(JSON.stringify({ ...shown, ...seen, background }));
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
