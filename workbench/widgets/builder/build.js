// The builder: draws what Python says the form is (see view.py), sends what a person does, and runs the preview's model.
const node = (tag, parent, set = {}, attributes = {}) => {
  const made = Object.assign(document.createElement(tag), set);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (parent) parent.appendChild(made);
  return made;
};
const shape = (tag, parent, attributes = {}) => {
  const made = parent.appendChild(document.createElementNS("http://www.w3.org/2000/svg", tag));
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
};
let nextId = 0;

// Keeps the nodes of items that stay, so that focus, selections and open parts stay too.
function patch(parent, items, tools) {
  const known = parent.known ??= new Map(), kept = new Set();
  let place = parent.firstChild;
  for (const item of items) {
    let made = known.get(item.id);
    if (!made || made.kind !== item.kind || made.type !== item.type) {
      const old = made;
      made = {...KINDS[item.kind](item, tools), kind: item.kind, type: item.type};
      known.set(item.id, made);
      if (old) { parent.insertBefore(made.root, old.root); if (place === old.root) place = made.root; old.root.remove(); }
    }
    made.update(item);
    kept.add(item.id);
    if (made.root === place) place = place.nextSibling; else parent.insertBefore(made.root, place);
  }
  for (const [id, made] of [...known]) if (!kept.has(id)) { made.root.remove(); known.delete(id); }
}

const KINDS = {
  field(item, {send}) {
    const root = node("div", null), label = node("label", root), problem = node("p", root, {className: "wb-problem"}, {role: "alert", id: `wb-p${nextId++}`});
    const check = item.type === "check", tag = {choice: "select", area: "textarea"}[item.type] ?? "input";
    const words = check ? null : node("span", label), input = node(tag, label), after = check ? node("span", label) : words;
    if (check) input.type = "checkbox"; else if (tag === "input") Object.assign(input, {type: "text", autocomplete: "off", spellcheck: false});
    input.dataset.id = item.id;
    input.setAttribute("aria-describedby", problem.id);
    let timer = 0, sent = null, list = null, options = "";
    const value = () => (check ? input.checked : input.value);
    const tell = () => { clearTimeout(timer); if (value() !== sent) { sent = value(); send({do: "set", id: item.id, value: sent}); } };
    input.addEventListener("change", tell);
    if (!check && tag !== "select") input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(tell, 250); });
    return {root, update(now) {
      root.className = `wb-field${now.short ? " short" : ""}${now.wide || now.type === "area" ? " wide" : ""}${check ? " check" : ""}`;
      after.textContent = now.label;
      problem.textContent = now.problem;
      input.setAttribute("aria-invalid", now.problem ? "true" : "false");
      if (tag === "select" && options !== JSON.stringify(now.options)) {
        options = JSON.stringify(now.options);
        input.replaceChildren(...now.options.map((one) => node("option", null, {value: one, textContent: one || "–"})));
      }
      if (now.suggestions) {
        list ??= node("datalist", root, {id: `wb-l${nextId++}`});
        input.setAttribute("list", list.id);
        if (list.dataset.of !== JSON.stringify(now.suggestions)) {
          list.dataset.of = JSON.stringify(now.suggestions);
          list.replaceChildren(...now.suggestions.map((one) => node("option", null, {value: one})));
        }
      }
      if (now.hint !== undefined) input.placeholder = now.hint;
      if (document.activeElement === input && tag !== "select" && !check) return;  // never under the fingers of a person
      if (check) input.checked = now.value; else input.value = now.value;
      sent = value();
    }};
  },
  maths() {
    const root = node("div", null, {className: "wb-maths"});
    return {root, update(now) { if (root.dataset.of !== now.html) { root.dataset.of = now.html; root.innerHTML = now.html; } }};
  },
  text() {
    const root = node("p", null, {className: "wb-note"});
    return {root, update(now) { root.textContent = now.text; }};
  },
  table() {
    const root = node("table", null, {className: "wb-table"}, {"aria-label": "first rows of the table"});
    return {root, update(now) {
      root.replaceChildren();
      const row = (part, cells, tag) => { const made = node("tr", part); for (const cell of cells) node(tag, made, {textContent: cell}); };
      row(node("thead", root), now.head, "th");
      const body = node("tbody", root);
      for (const cells of now.rows) row(body, cells, "td");
    }};
  },
  button(item, {send}) {
    const root = node("button", null, {type: "button", className: item.quiet ? "quiet" : ""});
    root.addEventListener("click", () => send({do: "press", id: item.id}));
    return {root, update(now) { root.textContent = now.label; }};
  },
  group(item, tools) {
    const root = node("details", null, {className: "wb-group", open: item.tag === "parameter"}), summary = node("summary", root);
    const words = node("span", summary), tag = node("small", summary), problem = node("p", root, {className: "wb-problem"}, {role: "alert"});
    const inner = node("div", root, {className: "wb-items"});
    return {root, update(now) {
      root.dataset.tag = now.tag;
      words.textContent = now.label;
      tag.textContent = now.tag;
      problem.textContent = now.problem;
      if (now.problem) root.open = true;
      patch(inner, now.items, tools);
    }};
  },
  row(item, tools) {
    const root = node("fieldset", null, {className: "wb-row"}), legend = node("legend", root), inner = node("div", root);
    const problem = node("p", root, {className: "wb-problem"}, {role: "alert"});
    return {root, update(now) {
      legend.textContent = now.label;
      legend.hidden = !now.label;
      problem.textContent = now.problem;
      patch(inner, now.items, tools);
    }};
  },
  add(item, {send}) {
    const root = node("div", null, {className: "wb-tools"}), kind = node("select", root, {}, {"aria-label": "kind of quantity to add"});
    for (const one of item.options) node("option", kind, {value: one, textContent: one});
    const name = node("input", root, {type: "text", placeholder: "name", spellcheck: false}, {"aria-label": "name of the quantity to add"});
    name.style.width = "9rem";
    const button = node("button", root, {type: "button", textContent: item.label}), problem = node("p", root, {className: "wb-problem"}, {role: "alert"});
    const add = () => { send({do: "add", kind: kind.value, name: name.value}); name.value = ""; };
    button.addEventListener("click", add);
    name.addEventListener("keydown", (event) => { if (event.key === "Enter") add(); });
    return {root, update(now) { problem.textContent = now.problem; }};
  },
  prior: priorCurve,
};

// A prior as a curve; two handles hold 5 % and 95 % of it, and are moved by the pointer or by the arrow keys.
function priorCurve(item, {send, idle}) {
  const W = 320, H = 84, floor = 64;
  const root = node("div", null, {className: "wb-prior"}), name = node("span", root), problem = node("p", root, {className: "wb-problem"}, {role: "alert"});
  const svg = shape("svg", root, {viewBox: `0 0 ${W} ${H}`, role: "group"}), inner = node("div", root, {className: "wb-items"});
  const curve = shape("path", svg, {class: "curve"});
  shape("line", svg, {x1: 0, x2: W, y1: floor, y2: floor, class: "axis"});
  let now = item, axis = null, dragging = null, waiting = null;
  const at = (value) => W * (axis.log ? Math.log(value / axis.low) / Math.log(axis.high / axis.low) : (value - axis.low) / (axis.high - axis.low));
  const value = (x) => (axis.log ? axis.low * (axis.high / axis.low) ** (x / W) : axis.low + (x / W) * (axis.high - axis.low));
  function tell() {  // the newest wish only, when the last one was answered
    if (!waiting || !idle()) return;
    send({do: "drag", id: now.id, low: waiting.low, high: waiting.high});
    waiting = null;
  }
  function wish(end, to) {
    const low = end === "low" ? Math.min(to, now.high * (now.high > 0 ? 0.9999 : 1.0001)) : now.low, high = end === "high" ? Math.max(to, now.low) : now.high;
    if (!(low < high)) return;
    now = {...now, low, high};
    waiting = {low, high};
    handles();
    tell();
  }
  const ends = Object.fromEntries(["low", "high"].map((end) => {
    const group = shape("g", svg, {class: "handle", tabindex: 0, role: "slider"});
    shape("line", group, {x1: 0, x2: 0, y1: 6, y2: floor});
    shape("circle", group, {cx: 0, cy: floor, r: 7});
    const text = shape("text", group, {y: H - 1, "text-anchor": "middle"});
    group.addEventListener("pointerdown", (event) => { dragging = end; group.setPointerCapture(event.pointerId); event.preventDefault(); group.focus(); });
    group.addEventListener("pointermove", (event) => {
      if (dragging !== end) return;
      const box = svg.getBoundingClientRect();
      wish(end, value(Math.min(W, Math.max(0, ((event.clientX - box.left) / box.width) * W))));
    });
    group.addEventListener("pointerup", () => { dragging = null; axis = null; tell(); draw(); });
    group.addEventListener("keydown", (event) => {
      const step = {ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10}[event.key];
      if (!step || !now.x.length) return;
      event.preventDefault();
      wish(end, value(at(now[end]) + step * 0.01 * W));
    });
    return [end, {group, text}];
  }));
  function handles() {
    for (const [end, {group, text}] of Object.entries(ends)) {
      group.setAttribute("transform", `translate(${at(now[end])} 0)`);
      text.textContent = short(now[end]);
      const words = {"aria-label": `${now.label}, ${end === "low" ? "5" : "95"} % quantile`, "aria-valuenow": now[end], "aria-valuetext": `${short(now[end])} ${now.unit}`, "aria-valuemin": axis.low, "aria-valuemax": axis.high};
      for (const [key, one] of Object.entries(words)) group.setAttribute(key, one);
    }
  }
  function draw() {
    svg.style.display = now.x.length ? "" : "none";
    if (!now.x.length) return;
    const first = now.x[0], last = now.x[now.x.length - 1], room = 0.2 * (last - first);
    axis ??= now.logarithmic ? {log: true, low: first / 1.6, high: last * 1.6} : {log: false, low: first >= 0 ? Math.max(0, first - room) : first - room, high: last + room};
    const top = Math.max(...now.y) || 1, points = now.x.map((x, k) => `${at(x).toFixed(1)} ${(floor - (now.y[k] / top) * (floor - 8)).toFixed(1)}`);
    curve.setAttribute("d", `M${at(first).toFixed(1)} ${floor}L${points.join("L")}L${at(last).toFixed(1)} ${floor}Z`);
    handles();
  }
  return {root, update(next) {
    const mine = dragging || waiting;
    now = mine ? {...next, low: now.low, high: now.high} : next;
    if (!mine) axis = null;
    name.textContent = now.unit ? `${now.label} (${now.unit})` : now.label;
    problem.textContent = now.problem;
    draw();
    patch(inner, now.items, {send, idle});
    tell();
  }};
}

function trace(canvas, chains) {
  const scale = window.devicePixelRatio || 1, width = canvas.clientWidth || 150, height = canvas.clientHeight || 48;
  Object.assign(canvas, {width: width * scale, height: height * scale});
  const g = canvas.getContext("2d"), every = chains.flat().filter(Number.isFinite), low = Math.min(...every), high = Math.max(...every);
  g.scale(scale, scale);
  ["#0072B2", "#E69F00", "#009E73", "#D55E00"].forEach((colour, k) => {
    const line = chains[k];
    if (!line) return;
    g.strokeStyle = colour;
    g.globalAlpha = 0.8;
    g.beginPath();
    line.forEach((v, t) => g[t ? "lineTo" : "moveTo"]((t / Math.max(1, line.length - 1)) * width, height - 3 - ((v - low) / (high - low || 1)) * (height - 6)));
    g.stroke();
  });
}

function build({model, el}) {
  const root = node("div", el, {className: "wb-build"});
  root.dataset.lmSuppressShortcuts = "true";  // JupyterLab would take keys away from fields
  root.addEventListener("keydown", (event) => { if (!event.ctrlKey && !event.metaKey) event.stopPropagation(); });
  const silent = node("div", root, {className: "wb-silent", hidden: true, textContent: "The kernel does not answer: it is busy, or was restarted. Nothing typed here is lost while the page is open; run the cell again for a new panel."}, {role: "alert"});
  const columns = node("div", root, {className: "wb-columns"}), form = node("form", columns), side = node("div", columns, {className: "wb-side"});
  form.addEventListener("submit", (event) => event.preventDefault());
  let count = model.get("view").seen ?? 0, seen = count, timer = 0;
  const tools = {
    send(message) {
      model.send({...message, count: ++count});
      clearTimeout(timer);
      timer = setTimeout(() => { silent.hidden = seen >= count; }, 8000);
    },
    idle: () => seen >= count,
  };
  const {send} = tools;

  const parts = new Map();
  function sections(view) {
    for (const one of view.sections) {
      if (!parts.has(one.id)) {
        const part = node("details", form, {className: "wb-section", open: true}), summary = node("summary", part, {textContent: one.title});
        parts.set(one.id, {wrong: node("span", summary, {className: "wb-count"}), inner: node("div", part, {className: "wb-items"})});
      }
      const {wrong, inner} = parts.get(one.id);
      wrong.textContent = one.wrong ? `${one.wrong} to mend` : "";
      patch(inner, one.items, tools);
    }
  }

  const preview = node("section", side, {}, {"aria-label": "preview"}), looks = node("div", preview, {className: "wb-tools"});
  const shown = node("div", preview), note = node("p", preview, {className: "wb-problem"}, {role: "alert"});
  const keep = node("section", side, {}, {"aria-label": "calibration and file"}), bar = node("div", keep, {className: "wb-tools"});
  const go = node("button", bar, {type: "button", textContent: "Calibrate", className: "main"}), halt = node("button", bar, {type: "button", textContent: "Stop", disabled: true});
  const undo = node("button", bar, {type: "button", textContent: "Undo"}), progress = node("progress", bar, {max: 1, value: 0}, {"aria-label": "share of the draws"});
  const words = node("p", keep, {className: "wb-note"}, {role: "status"}), traces = node("div", keep, {className: "wb-traces"});
  const tabs = node("div", keep, {className: "wb-tabs", hidden: true}, {role: "tablist"}), page = node("div", keep, {className: "wb-page"}, {role: "tabpanel"});
  const files = node("div", keep, {className: "wb-tools"}), file = node("input", node("label", files, {textContent: "File "}), {type: "text", value: "twin.yaml", spellcheck: false});
  const save = node("button", files, {type: "button", textContent: "Save"}), open = node("button", files, {type: "button", textContent: "Open"});
  const fileSaid = node("p", keep, {className: "wb-note"}, {role: "status"}), fileWrong = node("p", keep, {className: "wb-problem"}, {role: "alert"});
  const code = node("details", keep, {className: "wb-code"});
  node("summary", code, {textContent: "As code"});
  const text = node("textarea", code, {readOnly: true, spellcheck: false}, {"aria-label": "the Python that does the same"}), copy = node("button", code, {type: "button", textContent: "Copy as code"});
  go.addEventListener("click", () => send({do: "calibrate"}));
  halt.addEventListener("click", () => { halt.disabled = true; send({do: "stop"}); });
  undo.addEventListener("click", () => send({do: "undo"}));
  save.addEventListener("click", () => send({do: "save", path: file.value}));
  open.addEventListener("click", () => send({do: "open", path: file.value}));
  copy.addEventListener("click", async () => {
    text.select();
    try { await navigator.clipboard.writeText(text.value); } catch { document.execCommand("copy"); }
    copy.textContent = "Copied";
    setTimeout(() => { copy.textContent = "Copy as code"; }, 1500);
  });

  function updateView() {
    const view = model.get("view");
    seen = view.seen;
    if (seen >= count) silent.hidden = true;
    sections(view);
    note.textContent = view.preview || (view.wrong ? "The preview is of the last state without problems." : "");
    shown.classList.toggle("wb-old", Boolean(view.wrong));
    fileSaid.textContent = view.said;
    fileWrong.textContent = view.file;
    text.value = view.code || "# The form has problems; the code comes when they are mended.";
    copy.disabled = !view.code;
    ready = view.ready;
    patch(looks, looking(view.looks), tools);
    running();
  }
  function looking({units, unit, span}) {
    if (span !== null) return [{kind: "field", id: "preview/span", label: "Preview until", value: short(span, 6), problem: "", short: true}];
    if (units.length < 2) return [];
    return [{kind: "pick", id: "preview/unit", units, unit}];
  }
  let ready = false;
  function running() {
    const run = model.get("run"), busy = run.state === "running";
    go.disabled = busy || !ready;
    halt.disabled = !busy;
    progress.value = run.share;
    progress.hidden = !busy;
    const left = run.left === null || !busy ? "" : `, ${run.left < 90 ? `${Math.ceil(run.left)} s` : `${Math.ceil(run.left / 60)} min`} left`;
    const share = busy && run.share ? ` ${Math.round(100 * run.share)} %, ${run.divergences} divergences${left}` : "";
    words.textContent = run.state === "idle" ? "" : `${run.words}${share}`;
    words.classList.toggle("wb-problem", run.state === "failed");
    traces.hidden = !busy;
    run.traces.forEach(({name, chains, draws}, k) => {
      const figure = traces.children[k] ?? node("figure", traces), canvas = figure.firstChild ?? node("canvas", figure, {}, {role: "img"});
      (figure.children[1] ?? node("figcaption", figure)).textContent = name;
      canvas.setAttribute("aria-label", `${draws} draws of ${name}`);
      if (busy) trace(canvas, chains);
    });
  }

  let explorer = null, engineOf = "", controlsOf = "";
  function updateScene() {
    const scene = model.get("scene"), source = model.get("code");
    if (!scene.times) return;
    const names = JSON.stringify([scene.controls, scene.curves.map((c) => c.label), scene.time]);
    if (explorer && source === engineOf && names === controlsOf) { explorer.take(structuredClone(scene)); return; }
    [engineOf, controlsOf] = [source, names];
    const engine = new Function(`return ${source};`)(), ask = (settings) => model.send({do: "ask", settings, count});
    explorer = mount(shown, structuredClone(scene), engine ? {engine} : {ask});
  }
  function answer(message, buffers) {
    if (message.answer === "problem") { note.textContent = message.text; return; }
    const scene = model.get("scene"), bytes = buffers[0], T = scene.times.length, C = scene.curves.length;
    if (!explorer || bytes.byteLength !== 8 * scene.masses.length * T * C) return;  // of a scene that is gone
    const known = (m, t, k) => { const v = bytes.getFloat64(8 * ((m * T + t) * C + k), true); return Number.isNaN(v) ? null : v; };
    explorer.show(scene.masses.map((_, m) => scene.times.map((_, t) => scene.curves.map((_, k) => known(m, t, k)))), message.first);
  }

  let chosen = "", drawn = "";
  function results() {
    const every = model.get("results"), titles = Object.keys(every);
    tabs.hidden = !titles.length;
    if (!titles.length) { page.replaceChildren(); [chosen, drawn] = ["", ""]; }
    if (!titles.includes(chosen)) chosen = titles[0] ?? "";
    titles.forEach((title, k) => {
      const tab = tabs.children[k] ?? node("button", tabs, {type: "button"}, {role: "tab"});
      tab.textContent = title;
      tab.setAttribute("aria-selected", String(title === chosen));
      tab.tabIndex = title === chosen ? 0 : -1;
      tab.onclick = () => { chosen = title; results(); };
      tab.onkeydown = (event) => {
        const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];
        if (step) { chosen = titles[(k + step + titles.length) % titles.length]; results(); tabs.children[titles.indexOf(chosen)].focus(); }
      };
    });
    while (tabs.children.length > titles.length) tabs.lastChild.remove();
    if (!chosen || drawn === chosen) return;
    drawn = chosen;
    const one = every[chosen];
    page.replaceChildren();
    if (typeof one === "string") page.innerHTML = one;
    else mount(node("div", page), structuredClone(one.scene), {engine: new Function(`return ${one.code};`)()});
  }

  KINDS.pick ??= (item, tools_) => {
    const label = node("label", null, {textContent: "Shown "}), select = node("select", label);
    select.addEventListener("change", () => tools_.send({do: "set", id: "preview/unit", value: select.selectedIndex}));
    return {root: label, update(now) {
      if (select.dataset.of !== JSON.stringify(now.units)) {
        select.dataset.of = JSON.stringify(now.units);
        select.replaceChildren(...now.units.map((one) => node("option", null, {value: one, textContent: one})));
      }
      select.selectedIndex = now.unit;
    }};
  };
  updateView();
  updateScene();
  results();
  const events = [["change:view", updateView], ["change:scene", updateScene], ["change:run", running], ["change:results", results], ["msg:custom", answer]];
  for (const [name, call] of events) model.on(name, call);
  return () => { clearTimeout(timer); for (const [name, call] of events) model.off(name, call); };
}

export default {render: build};
