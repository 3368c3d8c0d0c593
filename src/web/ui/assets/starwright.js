// Keeps a page up to date: listens to the events of what it shows, reads the page again, and puts in what
// differs. Pages work without this.
"use strict";
(() => {
  const body = document.body;
  const live = document.getElementById("live");

  // ---- times -------------------------------------------------------------------------------------------
  const unit = (s) =>
    s < 60 ? `${s} s` : s < 3600 ? `${Math.floor(s / 60)} min` : s < 172800 ? `${Math.floor(s / 3600)} h` : `${Math.floor(s / 86400)} days`;
  const ago = (ms) => {
    const s = Math.floor(Math.abs(ms) / 1000);
    return s < 10 ? "just now" : ms < 0 ? `in ${unit(s)}` : `${unit(s)} ago`;
  };
  const since = (ms) => {
    const s = Math.max(0, Math.floor(ms / 1000));
    const pair = (big, one, small, two) => (small ? `${big}${one} ${small}${two}` : `${big}${one}`);
    if (s < 60) return `${s}s`;
    if (s < 3600) return pair(Math.floor(s / 60), "m", s % 60, "s");
    if (s < 86400) return pair(Math.floor(s / 3600), "h", Math.floor((s % 3600) / 60), "m");
    return pair(Math.floor(s / 86400), "d", Math.floor((s % 86400) / 3600), "h");
  };
  // The visitor's clock may differ from the master's.
  const ahead = Date.parse(body.dataset.now) - Date.now() || 0;
  const tick = () => {
    const now = Date.now() + ahead;
    for (const time of document.querySelectorAll("time[data-ago]")) {
      const at = Date.parse(time.dateTime);
      time.textContent = ago(now - at);
      if (!time.dataset.local) {
        time.dataset.local = "yes";
        time.title = `${new Date(at).toLocaleString()} (${time.title})`;
      }
    }
    for (const time of document.querySelectorAll("time[data-since]")) {
      time.textContent = since(now - Date.parse(time.dateTime));
    }
  };
  tick();
  setInterval(tick, 1000);

  // ---- the page again ----------------------------------------------------------------------------------
  let reading = false;
  let again = false;
  const put = (fresh) => {
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = fresh.getElementById(part.id);
      if (!next || part.contains(document.activeElement) && part.querySelector("input:focus, select:focus, textarea:focus")) continue;
      for (const old of part.querySelectorAll("details[id][open]")) {
        const same = next.querySelector(`#${CSS.escape(old.id)}`);
        if (same) same.open = true;
      }
      if (part.innerHTML !== next.innerHTML) part.innerHTML = next.innerHTML;
    }
    document.title = fresh.title;
    if (!fresh.body.hasAttribute("data-polls")) body.removeAttribute("data-polls");
    tick();
  };
  const look = async () => {
    if (reading) { again = true; return; }
    reading = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (answer.ok) put(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      // The master is away; the event stream tells when it is back.
    }
    reading = false;
    if (again) { again = false; soon(); }
  };
  let waiting = null;
  const soon = () => {
    if (!waiting) waiting = setTimeout(() => { waiting = null; look(); }, 250);
  };

  if (body.dataset.events && document.querySelector("[data-live]")) {
    const events = new EventSource(body.dataset.events);
    let lost = false;
    events.addEventListener("fact", soon);
    events.addEventListener("lagged", soon);
    events.onopen = () => { if (lost) soon(); lost = false; live.textContent = "live"; };
    events.onerror = () => { lost = true; live.textContent = "connection lost, trying again"; };
    addEventListener("pagehide", () => events.close());
    addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  }
  // Logs grow without telling.
  setInterval(() => {
    if (body.hasAttribute("data-polls") && !document.hidden) look();
  }, 2000);

  // ---- a log that grows --------------------------------------------------------------------------------
  const lines = document.getElementById("lines");
  if (lines && lines.hasAttribute("data-follow")) {
    const last = document.getElementById("last");
    const total = document.getElementById("total");
    const most = 20000;
    let stuck = true;
    const atEnd = () => innerHeight + scrollY >= document.documentElement.scrollHeight - 40;
    addEventListener("scroll", () => { stuck = atEnd(); }, { passive: true });
    if (!location.hash) scrollTo(0, document.documentElement.scrollHeight);
    const more = async () => {
      try {
        const from = lines.dataset.after;
        const answer = await fetch(`${location.pathname}?after=${from}`);
        if (answer.ok) {
          const text = await answer.text();
          const next = answer.headers.get("x-log-next");
          if (next !== from) {
            const box = document.createElement("template");
            box.innerHTML = `<table><tbody>${text}</tbody></table>`;
            lines.append(...box.content.querySelectorAll("tr"));
            while (lines.rows.length > most) lines.deleteRow(0);
            lines.dataset.after = next;
            last.textContent = next;
            total.textContent = Number(next).toLocaleString("en");
            if (stuck) scrollTo(0, document.documentElement.scrollHeight);
          }
          live.textContent = "live";
          if (answer.headers.get("x-log-ended") === "yes") { live.textContent = "the log has ended"; return; }
          if (next !== from) { setTimeout(more, 150); return; }
        }
      } catch {
        live.textContent = "connection lost, trying again";
      }
      setTimeout(more, 1000);
    };
    more();
  }
})();
