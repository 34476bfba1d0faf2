"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg", LEVELS = 6, PARTNERS = 12, LEAST = 0.1; // at most so many, none below this share of the strongest
  const make = (name, attributes = {}, text) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const draw = (name, attributes) => {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  };
  const signed = (value, reach) => {
    const sign = value > 0 ? "+" : value < 0 ? "-" : "", size = Math.abs(value);
    if (!reach) return sign + Number(size.toPrecision(4)).toString();
    const digits = Math.max(0, 1 - Math.floor(Math.log10(reach)));
    return sign + size.toFixed(digits) + " ± " + reach.toFixed(digits);
  };
  const level = (value, most) => Math.min(LEVELS, Math.round(LEVELS * Math.abs(value) / (most || 1)));

  // A set is [value, reach or null, [parts]]; an effect [value, reach or null, faint].
  const explore = (root) => {
    const data = JSON.parse(root.closest(".result").querySelector("script.data").textContent);
    const result = root.closest(".result"), map = root.querySelector(".map"), status = root.querySelector(".status");
    const lists = root.querySelector(".lists"), listed = lists.querySelector(".listed");
    const controls = lists.querySelector(".controls");
    const order = controls.querySelector(".order"), count = controls.querySelector(".count");
    const single = controls.querySelector(".single");
    const parts = [];
    for (const node of map.querySelectorAll(".part")) parts[Number(node.dataset.i)] = node;
    const ordered = [...map.querySelectorAll(".part")];
    const picks = [...result.querySelectorAll(".pick")], heads = [...result.querySelectorAll(".out")];
    const arcs = draw("svg", { class: "arcs", "aria-hidden": "true" });
    map.append(arcs);
    controls.hidden = false;
    status.hidden = false;
    let output = 0, pinned = null, shownSet = null;

    const now = () => data.outs[output];
    const allowed = () => now().sets.filter((set) => set[2].length <= Number(order.value));

    const partners = (i) => {
      const found = new Map();
      for (const set of allowed()) {
        if (set[2].length < 2 || !set[2].includes(i)) continue;
        for (const j of set[2]) if (j !== i && !found.has(j)) found.set(j, set[0]); // sets come strongest first
        if (found.size >= PARTNERS || Math.abs(set[0]) < LEAST * Math.abs(found.values().next().value)) break;
      }
      return found;
    };

    const anchor = (node) => {
      const inside = map.getBoundingClientRect();
      const box = node.tagName === "g" ? node.getBoundingClientRect() : node.getClientRects()[0];
      if (!box) return null;
      const high = node.closest(".text, .chips") ? box.top : box.top + box.height / 2;
      return [box.left + box.width / 2 - inside.left, high - inside.top];
    };

    const arc = (from, to, value, most) => {
      const a = anchor(from), b = anchor(to);
      if (!a || !b) return;
      const far = Math.hypot(b[0] - a[0], b[1] - a[1]), lift = Math.min(70, 14 + far / 5);
      const path = `M${a[0]} ${a[1]}C${a[0]} ${a[1] - lift} ${b[0]} ${b[1] - lift} ${b[0]} ${b[1]}`;
      const width = 1.2 + 4.3 * Math.abs(value) / (most || 1);
      const line = draw("path", { d: path, "stroke-width": width.toFixed(1), class: value > 0 ? "up" : "down" });
      if (value < 0) line.setAttribute("stroke-dasharray", `${(1.6 * width).toFixed(1)} ${(1.6 * width).toFixed(1)}`);
      arcs.append(line);
    };

    const clear = () => {
      arcs.replaceChildren();
      map.classList.remove("active");
      for (const node of parts) if (node) node.classList.remove("on", "partner");
      for (const node of listed.querySelectorAll(".lit")) node.classList.remove("lit");
      for (const [o, pick] of picks.entries()) shade(pick, 0, 1), pick.removeAttribute("title");
    };

    const say = (pieces) => {
      status.replaceChildren(...pieces.map((piece) => piece.strong ? make("strong", {}, piece.strong) : piece));
    };
    const name = (i) => data.labels[i];
    const short = (i) => data.numbered ? `S${i + 1}` : name(i);

    const showPart = (i) => {
      clear();
      map.classList.add("active");
      parts[i].classList.add("on");
      const found = partners(i), most = Math.max(...[...found.values()].map(Math.abs), 0);
      for (const [j, value] of found) {
        if (!parts[j]) continue;
        parts[j].classList.add("partner");
        arc(parts[i], parts[j], value, most);
      }
      const [value, reach, faint] = now().effects[i];
      const words = [{ strong: name(i) }, ` by itself ${faint ? "cannot be told from zero" : signed(value, reach)}`];
      if (found.size) words.push("; with it act ", ...[...found].slice(0, 6).flatMap(
        ([j, strength], at) => [at ? ", " : "", { strong: name(j) }, ` (${signed(strength)})`]
      ), found.size > 6 ? `, and ${found.size - 6} more.` : ".");
      else words.push("; no combination with it is shown.");
      say(words);
      if (picks.length > 1) both(i);
      for (const row of listed.querySelectorAll("tr")) if (row.members && row.members.includes(i)) row.classList.add("lit");
    };

    // The other way: what one part does to every output.
    const both = (i) => {
      const values = data.outs.map((out) => out.effects[i][2] ? 0 : out.effects[i][0]);
      const most = Math.max(...values.map(Math.abs), 0);
      for (const [o, pick] of picks.entries()) {
        shade(pick, values[o], most);
        pick.title = `${name(i)}: ${signed(data.outs[o].effects[i][0], data.outs[o].effects[i][1])}`;
      }
    };

    const showSet = (set) => {
      clear();
      map.classList.add("active");
      for (const i of set[2]) if (parts[i]) parts[i].classList.add("on");
      for (let k = 1; k < set[2].length; k++) {
        const [a, b] = [parts[set[2][k - 1]], parts[set[2][k]]];
        if (a && b) arc(a, b, set[0], Math.abs(set[0]));
      }
      say([{ strong: set[2].map(name).join(" + ") }, ` together ${signed(set[0], set[1])}`]);
    };

    const rest = () => {
      clear();
      if (shownSet) showSet(shownSet);
      else if (pinned !== null) showPart(pinned);
      else say(["Point at a part, or move to it with Tab and the arrow keys, to see what acts together with it; Enter pins it, Escape lets go."]);
    };

    const shade = (node, value, most) => {
      const step = most ? level(value, most) : 0, drawn = node.tagName === "g";
      node.classList.remove(...["pos", "neg", ...Array.from({ length: LEVELS }, (_, k) => [`p${k + 1}`, `n${k + 1}`, `l${k + 1}`]).flat()]);
      if (!step) return;
      if (drawn) node.classList.add(value > 0 ? "pos" : "neg", `l${step}`);
      else node.classList.add(`${value > 0 ? "p" : "n"}${step}`);
    };

    const list = () => {
      const combined = now().sets.some((set) => set[2].length > 1);
      const least = single.checked || pinned !== null || !combined ? 1 : 2;
      const all = allowed().filter((set) => set[2].length >= least && (pinned === null || set[2].includes(pinned)));
      const most = all.length ? Math.abs(all[0][0]) : 0;
      const table = make("table", { class: "rank" }), body = make("tbody");
      for (const set of all.slice(0, Number(count.value))) {
        const row = make("tr"), words = make("td"), button = make("button", { type: "button", class: "set", "aria-pressed": "false" });
        row.members = set[2];
        row.append(make("td", { class: "num" }, signed(set[0], set[1])));
        const bar = draw("svg", { class: "bar", viewBox: "0 0 72 9", "aria-hidden": "true" });
        const width = Math.max(1.5, 72 * Math.abs(set[0]) / (most || 1)).toFixed(1);
        bar.append(draw("rect", { width, height: 9, rx: 1.5, class: set[0] > 0 ? "up" : "down" }));
        const cell = make("td", { class: "meter" });
        cell.append(bar);
        set[2].forEach((i, at) => {
          if (at) button.append(make("span", { class: "plus" }, "+"));
          button.append(make("bdi", { title: data.labels[i] }, short(i)));
        });
        words.append(button);
        row.append(cell, words);
        row.addEventListener("pointerenter", () => showSet(set));
        row.addEventListener("pointerleave", rest);
        button.addEventListener("focus", () => { if (button.matches(":focus-visible")) showSet(set); });
        button.addEventListener("blur", rest);
        button.addEventListener("click", () => {
          const same = shownSet === set;
          shownSet = same ? null : set;
          for (const other of body.querySelectorAll(".set")) other.setAttribute("aria-pressed", "false");
          button.setAttribute("aria-pressed", String(!same));
          showSet(set);
        });
        body.append(row);
      }
      table.append(body);
      const what = least === 2 ? "combinations" : "sets";
      const hidden = now().left ? ` (${now().left} weaker ones are not in this page)` : "";
      const zero = now().faint ? `; ${now().faint} more cannot be told from zero` : "";
      const head = make("h3", {}, pinned === null ? (least === 2 ? "Together" : "Strongest") : `With ${name(pinned)}`);
      const foot = make("p", { class: "soft" },
        all.length ? `${Math.min(all.length, Number(count.value))} of ${all.length} ${what}${hidden}${zero}` : `No ${what} to show${zero}.`);
      listed.replaceChildren(head, ...(all.length ? [table] : []), foot);
    };

    const pin = (i) => {
      shownSet = null;
      if (pinned !== null) parts[pinned].setAttribute("aria-pressed", "false");
      pinned = pinned === i ? null : i;
      if (pinned !== null) parts[pinned].setAttribute("aria-pressed", "true");
      for (const leaf of leaves) leaf.setAttribute("aria-pressed", String(Number(leaf.dataset.i) === pinned));
      list();
      if (pinned === null) rest(); else showPart(pinned);
    };

    // The same parts once more, by what they were opened from.
    const leaves = [...result.querySelectorAll(".unfolding .leaf")];
    for (const leaf of leaves) {
      const i = Number(leaf.dataset.i);
      leaf.setAttribute("aria-pressed", "false");
      leaf.addEventListener("pointerenter", () => showPart(i));
      leaf.addEventListener("pointerleave", rest);
      leaf.addEventListener("focus", () => { if (leaf.matches(":focus-visible")) showPart(i); });
      leaf.addEventListener("blur", rest);
      leaf.addEventListener("click", () => pin(i));
    }

    const choose = (o) => {
      output = o;
      const effects = now().effects, most = Math.max(...effects.map((e) => e[2] ? 0 : Math.abs(e[0])), 0);
      parts.forEach((node, i) => {
        shade(node, effects[i][2] ? 0 : effects[i][0], most);
        for (const leaf of leaves) if (Number(leaf.dataset.i) === i) shade(leaf, effects[i][2] ? 0 : effects[i][0], most);
        node.setAttribute("aria-label", `${name(i)}, ${signed(effects[i][0], effects[i][1])}${effects[i][2] ? ", not told from zero" : ""}`);
        if (node.tagName === "TR") node.querySelector(".num").textContent = signed(effects[i][0], effects[i][1]);
        const bar = node.tagName === "TR" && node.querySelector(".bar rect");
        if (bar) bar.setAttribute("width", (72 * Math.abs(effects[i][0]) / (most || 1)).toFixed(1)), bar.setAttribute("class", effects[i][0] > 0 ? "up" : "down");
        if (node.tagName === "TD") node.textContent = Math.round(100 * (effects[i][2] ? 0 : effects[i][0]) / (most || 1)) || "·";
      });
      picks.forEach((pick, at) => {
        pick.setAttribute("aria-checked", String(at === o));
        pick.tabIndex = at === o ? 0 : -1;
      });
      heads.forEach((head, at) => { head.hidden = at !== o; });
      shownSet = null;
      list();
      rest();
    };

    const move = (event, nodes, at) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const to = event.key === "Home" ? 0 : event.key === "End" ? nodes.length - 1 : step ? at + step : -1;
      if (!(to >= 0 && to < nodes.length)) return false;
      event.preventDefault();
      nodes[at].setAttribute("tabindex", "-1");
      nodes[to].setAttribute("tabindex", "0");
      nodes[to].focus();
      return true;
    };

    ordered.forEach((node, at) => {
      const i = Number(node.dataset.i);
      node.setAttribute("tabindex", at ? "-1" : "0");
      node.addEventListener("pointerenter", () => showPart(i));
      node.addEventListener("pointerleave", rest);
      node.addEventListener("focus", () => showPart(i));
      node.addEventListener("blur", rest);
      node.addEventListener("click", () => pin(i));
      node.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); pin(i); }
        else if (event.key === "Escape") { if (pinned !== null) pin(pinned); }
        else move(event, ordered, at);
      });
    });
    picks.forEach((pick, o) => {
      pick.addEventListener("click", () => choose(o));
      pick.addEventListener("keydown", (event) => { if (move(event, picks, o)) choose(picks.indexOf(document.activeElement)); });
    });
    for (const slider of [order, count]) slider.addEventListener("input", () => {
      controls.querySelector(".order-out").textContent = order.value;
      controls.querySelector(".count-out").textContent = count.value;
      shownSet = null;
      list();
      rest();
    });
    single.addEventListener("change", () => { list(); rest(); });
    addEventListener("resize", rest);
    if (order.max === "1") order.closest("label").hidden = single.closest("label").hidden = true;
    list();
    rest();
  };

  for (const root of document.querySelectorAll(".explorer.live")) explore(root);
  for (const leaf of document.querySelectorAll(".unfolding .leaf:not([aria-pressed])")) leaf.disabled = true; // no map beside it
  for (const tree of document.querySelectorAll(".interplay .unfolding")) {
    const folds = tree.querySelector(".folds"), branches = [...tree.querySelectorAll("details")];
    folds.hidden = !branches.length;
    for (const [name, open] of [[".unfold", true], [".fold", false]]) {
      folds.querySelector(name).addEventListener("click", () => { for (const one of branches) one.open = open; });
    }
  }
  addEventListener("beforeprint", () => { for (const one of document.querySelectorAll("details")) one.open = true; });
})();
