"use strict";
// Search as you type, the keyboard, the live feed, and the player. All else works without this.
const one = (selector) => document.querySelector(selector);
const box = one("#q"), found = one("#found"), page = one("#page");
const isSearch = location.pathname === "/search";

// ---- search
let asked = null, waiting = 0;
function typed() {
  clearTimeout(waiting);
  waiting = setTimeout(look, 120);
}
async function look() {
  const text = box.value.trim();
  asked?.abort();
  if (!text) return isSearch ? show(await part("")) : hide();
  asked = new AbortController();
  try {
    show(await part(text));
  } catch (error) {
    if (error.name !== "AbortError") one("form.search").requestSubmit();
  }
}
async function part(text) {
  const answer = await fetch("/search?part=1&q=" + encodeURIComponent(text), { signal: asked?.signal });
  if (isSearch) history.replaceState(null, "", "/search?q=" + encodeURIComponent(text));
  const html = await answer.text();
  if (answer.ok) return html;
  return new DOMParser().parseFromString(html, "text/html").querySelector(".error")?.outerHTML ?? "";
}
function show(html) {
  found.innerHTML = html;
  found.hidden = false;
  page.hidden = true;
}
function hide() {
  found.hidden = true;
  page.hidden = false;
}
box.addEventListener("input", typed);

// ---- keyboard: / to search, arrows through what was found, Enter opens it, Escape goes back
function step(by) {
  const hits = [...(found.hidden ? page : found).querySelectorAll("a.hit")];
  const next = hits.indexOf(document.activeElement) + by;
  if (next < 0) box.focus();
  else hits[Math.min(next, hits.length - 1)]?.focus();
}
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches("input, textarea, select, audio");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/" && !isTyping) {
    event.preventDefault();
    box.focus();
    box.select();
  } else if (event.key === "Escape" && !found.hidden) {
    if (!isSearch) { box.value = ""; hide(); }
    box.focus();
  } else if (event.key === "ArrowDown" && (event.target === box || event.target.matches("a.hit"))) {
    event.preventDefault();
    step(1);
  } else if (event.key === "ArrowUp" && event.target.matches("a.hit")) {
    event.preventDefault();
    step(-1);
  }
});

// ---- times
function ago(seconds) {
  if (seconds < 1) return "just now";
  const units = [[172800, 86400, "days"], [3600, 3600, "h"], [60, 60, "min"], [1, 1, "s"]];
  const [, size, name] = units.find(([from]) => seconds >= from);
  return Math.floor(seconds / size).toLocaleString("en").replaceAll(",", "\u202f") + "\u202f" + name + " ago";
}
function tick() {
  for (const time of document.querySelectorAll("time")) {
    const text = ago((Date.now() - Date.parse(time.dateTime)) / 1000);
    if (time.textContent !== text) time.textContent = text;
  }
}
setInterval(tick, 1000);

// ---- the live feed; by polling where too many pages have one
const feed = one("#feed");
const most = 12;
function put(html) {
  feed.insertAdjacentHTML("afterbegin", html);
  feed.firstElementChild.classList.add("fresh");
  while (feed.children.length > most) feed.lastElementChild.remove();
}
function say(html) {
  one("#line").innerHTML = html;
}
async function poll() {
  try {
    const told = await (await fetch("/live.json?after=" + feed.dataset.newest)).json();
    say(told.line);
    told.changes.forEach(put);
    feed.dataset.newest = told.newest;
  } catch { /* the server is away: asked again */ }
  setTimeout(poll, 5000);
}
if (feed) {
  const events = new EventSource("/events?after=" + feed.dataset.newest);
  events.addEventListener("change", (event) => {
    feed.dataset.newest = event.lastEventId;
    put(JSON.parse(event.data).html);
  });
  events.addEventListener("line", (event) => say(JSON.parse(event.data).html));
  events.addEventListener("error", () => { if (events.readyState === EventSource.CLOSED) poll(); });
  addEventListener("pagehide", () => events.close());
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}

// ---- the player
document.addEventListener("click", (event) => {
  const link = event.target.closest("a.play");
  if (!link) return;
  event.preventDefault();
  let player = one("#player");
  if (!player) {
    document.body.insertAdjacentHTML("beforeend", '<div id="player"><span></span><audio controls></audio></div>');
    player = one("#player");
  }
  player.firstElementChild.textContent = link.dataset.play;
  player.lastElementChild.src = link.href;
  player.lastElementChild.play();
});
