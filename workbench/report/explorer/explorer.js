// Draws a scene (see scene.py) into an element: sliders, and for each curve its band over the draws. `engine` has the model,
// its method and `solve`, where a browser can run it; where it cannot, `ask(settings)` is called, and the answer, quantiles of each curve, goes to `show`. `tell(settings)` is
// called when a slider comes to rest.
function mount(root, scene, {engine = null, ask = null, tell = null} = {}) {
  const still = !engine && !ask;  // frames that were worked out beforehand are all there is
  const {masses} = scene, settings = {}, C = scene.curves.length;
  for (const c of scene.controls) settings[c.name] = c.start;
  root.innerHTML = "";
  root.classList.add("wb-explorer");
  // JupyterLab would take the arrow keys away from sliders: as shortcuts, and where they bubble up to the notebook.
  root.dataset.lmSuppressShortcuts = "true";
  root.addEventListener("keydown", (event) => { if (/^(Arrow|Page|Home|End| |Enter)/.test(event.key)) event.stopPropagation(); });
  const make = (tag, parent, set = {}) => parent.appendChild(Object.assign(document.createElement(tag), set));
  make("style", root, {textContent: STYLE});
  const plots = make("div", root, {className: "wb-plots"}), form = make("form", root, {className: "wb-form"});
  const canvases = scene.curves.map((curve) => {
    const canvas = make("canvas", make("figure", plots), {role: "img"});
    canvas.setAttribute("aria-label", `${curve.label} over ${scene.time}: 90 % band and median of ${scene.source}`);
    return canvas;
  });
  const rows = scene.controls.map((c) => {
    const row = make("label", form), id = `wb-${Math.random().toString(36).slice(2)}`;
    make("span", row, {textContent: c.label, id});
    const slider = make("input", row, {type: "range", min: 0, max: 1000, step: 1, value: 1000 * toShare(c, c.start)});
    slider.setAttribute("aria-labelledby", id);
    slider.dataset.name = c.name;
    const shown = make("output", row);
    const say = () => {
      shown.textContent = c.acts === "times" ? `× ${short(settings[c.name])}` : `${settings[c.name] < 0 ? "−" : "+"} ${short(Math.abs(settings[c.name]))} ${c.unit}`;
      slider.setAttribute("aria-valuetext", shown.textContent);
    };
    if (tell) slider.addEventListener("change", () => tell({...settings}));
    slider.addEventListener("input", () => {
      const share = slider.value / 1000;
      if (still) asBefore(c);
      settings[c.name] = Math.abs(share - toShare(c, c.start)) < 0.006 ? c.start : fromShare(c, share);
      say();
      wanted();
    });
    say();
    return {slider, say, control: c};
  });
  function asBefore(except = null) {
    for (const {slider, say, control} of rows) if (control !== except) {
      settings[control.name] = control.start;
      slider.value = 1000 * toShare(control, control.start);
      say();
    }
  }
  make("button", form, {type: "button", textContent: "As it was"}).addEventListener("click", () => { asBefore(); wanted(); if (tell) tell({...settings}); });
  const words = make("p", root, {className: "wb-words"});
  words.setAttribute("aria-live", "polite");
  let pending = false, stale = false, cost = 0.1, settle = 0, last = {solved: 0, ms: 0};

  function compute(count, tolerance = scene.tolerance, at = settings) {
    const began = performance.now(), {model, method, solve} = engine, step = Math.max(1, Math.floor(scene.theta.length / count));
    const plan = acting(scene, at), values = [];
    let failed = 0;
    for (let d = 0; d < scene.theta.length; d += step) {
      const made = solve(model, method, parameters(scene, at, scene.theta[d]), plan, scene.times, tolerance);
      if (made.status === 0 && made.outputs.every(Number.isFinite)) values.push(made.outputs); else failed++;
    }
    const found = masses.map(() => scene.times.map(() => new Array(C).fill(null))), column = new Float64Array(values.length);
    for (let k = 0; k < C && values.length; k++) for (let t = 0; t < scene.times.length; t++) {
      for (let d = 0; d < values.length; d++) column[d] = values[d][t * model.outputs + scene.curves[k].column];
      column.sort();
      masses.forEach((mass, m) => { found[m][t][k] = quantile(column, mass); });
    }
    cost = (performance.now() - began) / Math.ceil(scene.theta.length / step);
    last = {solved: values.length, failed, ms: performance.now() - began};
    return found;
  }

  // [quantile][time][curve], before any slider moves; a scene comes without it where the browser can work it out.
  const starts = Object.fromEntries(scene.controls.map((c) => [c.name, c.start]));
  const unknown = masses.map(() => scene.times.map(() => new Array(C).fill(null)));
  const first = () => scene.base ?? (engine ? compute(scene.theta.length, scene.tolerance, starts) : unknown);
  let base = first(), now = base;
  // Other draws, data or inputs of the same model: sliders stay where they are.
  function take(next) {
    Object.assign(scene, next);
    base = first();
    now = engine && changed() ? compute(scene.theta.length) : base;
    draw();
  }
  const changed = () => rows.some(({control}) => settings[control.name] !== control.start);

  // While a slider moves as many draws are solved as fit into half a frame, roughly; all of them, and finely, when it rests.
  const rough = {rtol: 1e-4, atol: 100 * scene.tolerance.atol};
  function follow() {
    stale = false;
    now = compute(Math.min(Math.max(20, Math.floor(8 / cost)), scene.theta.length), rough);
  }
  function wanted() {
    clearTimeout(settle);
    if (still) { now = framed(scene, settings, base); draw(); return; }
    if (!engine) { if (ask) ask({...settings}); return; }
    stale = true;
    if (!pending) {
      pending = true;
      follow();  // at once, not when the frame is due: only drawing waits for that
      requestAnimationFrame(() => {
        pending = false;
        if (stale) follow();
        draw();
        settle = setTimeout(() => { now = compute(scene.theta.length); draw(); }, 150);
      });
    }
  }
  // Sliders where somebody else put them: another view, or the kernel.
  function place(next) {
    const wish = ({control: c}) => (Number.isFinite(next[c.name]) ? Math.min(Math.max(next[c.name], c.low), c.high) : c.start);
    if (rows.every((row) => wish(row) === settings[row.control.name])) return false;
    for (const row of rows) {
      settings[row.control.name] = wish(row);
      row.slider.value = 1000 * toShare(row.control, wish(row));
      row.say();
    }
    if (engine) now = compute(scene.theta.length);
    draw();
    return true;
  }
  function show(quantiles, asBase = false) { now = quantiles; if (asBase) base = quantiles; draw(); }

  function draw() {
    const moved = changed(), lines = [];
    canvases.forEach((canvas, k) => panel(canvas, scene, k, base, now, moved));
    scene.curves.forEach((curve, k) => {
      const top = (of) => of[1].reduce((best, at, t) => (at[k] !== null && (best < 0 || at[k] > of[1][best][k]) ? t : best), -1);
      const t = top(now);
      if (t >= 0) lines.push(`${curve.label}: highest median ${short(now[1][t][k])} (90 % ${short(now[0][t][k])} to ${short(now[2][t][k])}) at ${short(scene.times[t], 4)} ${scene.unit}` + (moved && top(base) >= 0 ? `, before ${short(base[1][top(base)][k])}` : ""));
    });
    if (scene.refusal) lines.push(ask ? `Computed outside the browser: ${scene.refusal}.` : `Worked out beforehand, one slider at a time: ${scene.refusal}, which a browser cannot run.`);
    if (last.failed) lines.push(`${last.failed} draws could not be solved and are left out.`);
    words.textContent = lines.join(". ");
  }
  draw();
  new ResizeObserver(() => requestAnimationFrame(draw)).observe(plots);
  root.explorer = {settings, compute, show, place, take, draw, last: () => last, set(name, value) { settings[name] = value; now = engine ? compute(scene.theta.length) : still ? framed(scene, settings, base) : now; draw(); return now; }};
  return root.explorer;
}

const STYLE = `
.wb-explorer { --ink: #111; --line: #0072B2; --band: rgba(0,114,178,.28); --was: #8c8c8c; font: 14px/1.4 system-ui, sans-serif; color: var(--ink); }
@media (prefers-color-scheme: dark) { .wb-explorer { --ink: #ddd; --line: #56B4E9; --band: rgba(86,180,233,.3); } }
[data-jp-theme-light] .wb-explorer { --ink: var(--jp-content-font-color1, #111); --line: #0072B2; --band: rgba(0,114,178,.28); }
[data-jp-theme-light="false"] .wb-explorer { --line: #56B4E9; --band: rgba(86,180,233,.3); }
.wb-plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 18rem), 1fr)); gap: .5rem; }
.wb-plots figure { margin: 0; } .wb-plots canvas { width: 100%; height: 15rem; display: block; }
.wb-form { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); gap: .3rem 1rem; margin-top: .5rem; }
.wb-form label { display: grid; grid-template-columns: 8rem 1fr 4.5rem; gap: .5rem; align-items: center; }
.wb-form input { width: 100%; accent-color: var(--line); } .wb-form button { justify-self: start; font: inherit; }
.wb-words { font-size: 12px; margin: .5rem 0 0; }
@media print { .wb-form { display: none; } }`;

const toShare = (c, value) => c.logarithmic ? Math.log(value / c.low) / Math.log(c.high / c.low) : (value - c.low) / (c.high - c.low);
const fromShare = (c, share) => c.logarithmic ? c.low * (c.high / c.low) ** share : c.low + share * (c.high - c.low);

function short(value, digits = 3) {
  if (value === 0) return "0";
  const size = Math.abs(value), text = size >= 1e5 || size < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(digits)));
  return text.replace("-", "−");
}

// as numpy.quantile, of sorted numbers
function quantile(sorted, mass) {
  const at = mass * (sorted.length - 1), low = Math.floor(at), high = Math.ceil(at);
  return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
}

function parameters(scene, settings, draw) {
  const p = Float64Array.from(draw);
  for (const c of scene.controls) for (const k of c.theta) {
    const moved = c.acts === "times" ? p[k] * settings[c.name] : p[k] + settings[c.name];
    p[k] = Math.min(Math.max(moved, c.floor ?? -Infinity), c.ceiling ?? Infinity);
  }
  return p;
}

// Between the two frames that were worked out nearest to where the one slider is that moved; see frames.py.
function framed(scene, settings, base) {
  const {frames, controls, times, curves, masses} = scene, at = controls.findIndex((c) => settings[c.name] !== c.start);
  if (at < 0) return base;
  frames.whole ??= new Uint16Array(Uint8Array.from(atob(frames.data), (letter) => letter.charCodeAt(0)).buffer);
  const share = toShare(controls[at], settings[controls[at].name]), shares = frames.shares[at], size = masses.length * times.length * curves.length;
  const next = Math.min(Math.max(shares.findIndex((one) => one >= share - 1e-12), 1), shares.length - 1), right = (share - shares[next - 1]) / (shares[next] - shares[next - 1]);
  const first = size * (frames.shares.slice(0, at).reduce((sum, some) => sum + some.length, 0) + next - 1);
  return masses.map((_, m) => times.map((_, t) => curves.map((_, k) => {
    const place = first + (m * times.length + t) * curves.length + k, [a, b] = [frames.whole[place], frames.whole[place + size]];
    return a === 65535 || b === 65535 ? null : frames.low[k] + ((1 - right) * a + right * b) / 65534 * (frames.high[k] - frames.low[k]);
  })));
}

function acting(scene, settings) {
  const {begin} = scene.plan, [level, slope, jump] = ["level", "slope", "jump"].map((name) => scene.plan[name].map((row) => [...row]));
  for (const c of scene.controls) for (let s = 0; s < begin.length; s++) {
    if (c.acts === "times") {
      for (const k of c.level) { level[s][k] *= settings[c.name]; slope[s][k] *= settings[c.name]; }
      for (const k of c.jump) jump[s][k] *= settings[c.name];
    } else for (const k of c.level) level[s][k] += settings[c.name];
  }
  return {begin, level, slope, jump};
}

function ticks(low, high, most) {
  const raw = (high - low) / most, power = 10 ** Math.floor(Math.log10(raw)), step = power * [1, 2, 5, 10].find((k) => k * power >= raw), made = [];
  for (let t = Math.ceil(low / step) * step; t <= high + 1e-9 * step; t += step) made.push(Math.abs(t) < 1e-9 * step ? 0 : t);
  return made;
}

function panel(canvas, scene, k, base, now, moved) {
  const scale = window.devicePixelRatio || 1, width = canvas.clientWidth || 400, height = canvas.clientHeight || 240;
  canvas.width = width * scale;
  canvas.height = height * scale;
  const g = canvas.getContext("2d"), style = getComputedStyle(canvas), colour = (name) => style.getPropertyValue(name).trim();
  g.scale(scale, scale);
  const {times} = scene, observed = scene.curves[k].observed, shown = [];
  for (const of of [base, now]) for (const row of of) for (const at of row) if (at[k] !== null) shown.push(at[k]);
  for (const [t, y] of observed) if (t >= times[0] && t <= times[times.length - 1]) shown.push(y);
  if (!shown.length) return;
  let low = Infinity, high = -Infinity;
  for (const v of shown) { if (v < low) low = v; if (v > high) high = v; }
  if (low > 0 && low < 0.5 * high) low = 0;
  if (!(high > low)) { high = low + (Math.abs(low) || 1); }
  const left = 52, right = 16, top = 10, bottom = 36, X = (t) => left + (t - times[0]) / (times[times.length - 1] - times[0]) * (width - left - right);
  const Y = (v) => height - bottom - (v - low) / (1.04 * (high - low)) * (height - top - bottom);
  g.font = "11px system-ui, sans-serif";
  g.strokeStyle = g.fillStyle = colour("--ink");
  g.lineWidth = 0.8;
  g.beginPath(); g.moveTo(left, top); g.lineTo(left, height - bottom); g.lineTo(width - right, height - bottom); g.stroke();
  g.textAlign = "center";
  for (const t of ticks(times[0], times[times.length - 1], Math.max(2, width / 80))) { g.fillText(short(t, 5), X(t), height - bottom + 14); g.fillRect(X(t), height - bottom, 0.8, 3); }
  g.fillText(scene.time, (left + width - right) / 2, height - 4);
  g.textAlign = "right";
  for (const v of ticks(low, high, 5)) { g.fillText(short(v), left - 6, Y(v) + 4); g.fillRect(left - 3, Y(v), 3, 0.8); }
  g.save(); g.translate(11, (top + height - bottom) / 2); g.rotate(-Math.PI / 2); g.textAlign = "center"; g.fillText(scene.curves[k].label, 0, 0); g.restore();
  const line = (of, m) => { g.beginPath(); of[m].forEach((at, t) => { if (at[k] !== null) g[t ? "lineTo" : "moveTo"](X(times[t]), Y(at[k])); }); };
  g.save();
  g.beginPath(); g.rect(left, top - 6, width - left - right + 5, height - top - bottom + 7); g.clip();
  line(now, 0);
  for (let t = times.length - 1; t >= 0; t--) if (now[2][t][k] !== null) g.lineTo(X(times[t]), Y(now[2][t][k]));
  g.fillStyle = colour("--band"); g.fill();
  if (moved) { g.setLineDash([5, 4]); g.strokeStyle = colour("--was"); g.lineWidth = 1.4; line(base, 1); g.stroke(); g.setLineDash([]); }
  g.strokeStyle = colour("--line"); g.lineWidth = 1.8; line(now, 1); g.stroke();
  g.strokeStyle = colour("--ink"); g.lineWidth = 1;
  for (const [t, y] of observed) { g.beginPath(); g.arc(X(t), Y(y), 2.6, 0, 7); g.stroke(); }
  g.restore();
}
