// Solves a printed model in a browser. Plain numbers in, plain numbers out; nothing is fetched, nothing is kept.
// `model` has sizes (states, outputs), and functions observe(t, p, u, x, y, at), which writes y[at], ..., and, where it has states,
// start(p, x) and rhs(t, p, u, x, f).
// `method` is an explicit Runge-Kutta method printed from the coefficients that the kernels have.

const bits = {
  mod: (a, b) => { const rest = a % b; return rest && rest < 0 !== b < 0 ? rest + b : rest; },
  // Abramowitz & Stegun 7.1.5 near zero; the continued fraction 7.1.14 further out
  erf: (x) => {
    if (Math.abs(x) > 3) return Math.sign(x) * (1 - bits.erfc(Math.abs(x)));
    let term = x, sum = x;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= -x * x / n;
      sum += term / (2 * n + 1);
    }
    return 2 / Math.sqrt(Math.PI) * sum;
  },
  erfc: (x) => {
    if (x < 2) return 1 - bits.erf(x);
    let tail = x;
    for (let k = 200; k >= 1; k--) tail = x + k / 2 / tail;
    return Math.exp(-x * x) / tail / Math.sqrt(Math.PI);
  },
  // Stirling's series (Abramowitz & Stegun 6.1.41) after a shift upwards; reflection (6.1.17) below zero
  gammaln: (x) => {
    if (x <= 0 && x === Math.floor(x)) return Infinity;
    if (x < 0.5) return Math.log(Math.PI / Math.abs(Math.sin(Math.PI * x))) - bits.gammaln(1 - x);
    let shift = 0;
    for (; x < 15; x++) shift += Math.log(x);
    const s = 1 / (x * x);
    const series = (1 / 12 - s * (1 / 360 - s * (1 / 1260 - s * (1 / 1680 - s / 1188)))) / x;
    return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + series - shift;
  },
};

// Returns {status, steps, states, outputs}: outputs[r * model.outputs + k] at times[r]; status 0 solved, 1 too many
// steps, 2 step too small. `plan` = {begin, level, slope, jump}: segments in which every input is a straight line.
function solve(model, method, p, plan, times, {rtol = 1e-7, atol = 1e-10, most = 20000, start = null} = {}) {
  const n = model.states, inputs = model.inputs, order = method.order;
  const fresh = (size) => new Float64Array(size);
  const x = fresh(n), next = fresh(n), k = method.c.map(() => fresh(n)), u = fresh(inputs), at = fresh(n);
  const states = fresh(times.length * n).fill(NaN), outputs = fresh(times.length * model.outputs).fill(NaN);
  const last = times[times.length - 1], done = (status) => ({status, steps, states, outputs});
  let r = 0, h = 0, steps = 0, t = plan.begin[0];
  let j = 0;
  const rhs = (time, value, into) => {
    for (let i = 0; i < inputs; i++) u[i] = plan.level[j][i] + plan.slope[j][i] * (time - plan.begin[j]);
    model.rhs(time, p, u, value, into);
  };
  const record = (time, value) => {
    for (let i = 0; i < inputs; i++) u[i] = plan.level[j][i] + plan.slope[j][i] * (time - plan.begin[j]);
    states.set(value, r * n);
    model.observe(time, p, u, value, outputs, r * model.outputs);
    r++;
  };
  if (!n) {  // formulas: each time by itself
    for (j = 0; r < times.length; ) {
      while (j + 1 < plan.begin.length && plan.begin[j + 1] <= times[r]) j++;
      record(times[r], x);
    }
    return done(0);
  }
  model.start(p, x);
  if (start) for (let i = 0; i < n; i++) if (!Number.isNaN(start[i])) x[i] = start[i];
  for (j = 0; j < plan.begin.length; j++) {
    for (let i = 0; i < n; i++) x[i] += plan.jump[j][i];
    const end = j + 1 < plan.begin.length ? plan.begin[j + 1] : last;
    while (r < times.length && times[r] <= t) record(t, x);
    if (r === times.length) break;
    rhs(t, x, k[0]);
    if (h === 0) h = firstStep(n, t, end - t, x, k, next, rhs, rtol, atol, order);
    while (t < end) {
      if (++steps > most) return done(1);
      const reaches = t + 1.01 * h >= end, trial = reaches ? end - t : h;
      for (let s = 1; s < k.length; s++) {
        method.stages[s - 1](n, trial, x, next, k);
        rhs(t + method.c[s] * trial, next, k[s]);
      }
      const wrong = method.error(n, trial, x, next, k, rtol, atol);
      if (!(wrong <= 1)) {
        h = trial * (wrong < 1e300 ? Math.max(0.2, 0.9 * wrong ** (-0.5 / order)) : 0.1);
        if (h <= 1e-14 * Math.abs(t) || h < 1e-250) return done(2);
        continue;
      }
      const grown = trial * (wrong > 0 ? Math.min(10, Math.max(0.2, 0.9 * wrong ** (-0.5 / order))) : 10);
      const reached = reaches ? end : t + trial;
      while (r < times.length && times[r] < reached) {
        method.interpolate(n, (times[r] - t) / trial, trial, x, at, k);
        record(times[r], at);
      }
      x.set(next);
      k[0].set(k[k.length - 1]);
      t = reached;
      h = reaches ? Math.max(h, grown) : grown;
    }
  }
  j = plan.begin.length - 1;
  while (r < times.length) record(t, x);
  return done(0);
}

// Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, section II.4, algorithm 4.14
function firstStep(n, t, longest, x, k, next, rhs, rtol, atol, order) {
  let size = 0, speed = 0, bend = 0;
  for (let i = 0; i < n; i++) {
    const bar = atol + rtol * Math.abs(x[i]);
    size += (x[i] / bar) ** 2;
    speed += (k[0][i] / bar) ** 2;
  }
  size = Math.sqrt(size / n);
  speed = Math.sqrt(speed / n);
  const h = Math.min(size < 1e-5 || speed < 1e-5 ? 1e-6 : 0.01 * size / speed, longest);
  for (let i = 0; i < n; i++) next[i] = x[i] + h * k[0][i];
  rhs(t + h, next, k[1]);
  for (let i = 0; i < n; i++) bend += ((k[1][i] - k[0][i]) / (atol + rtol * Math.abs(x[i]))) ** 2;
  bend = Math.sqrt(bend / n) / h;
  const fastest = Math.max(speed, bend);
  const guess = fastest <= 1e-15 ? Math.max(1e-6, h * 1e-3) : (0.01 / fastest) ** (1 / order);
  return Number.isNaN(guess) ? h : Math.min(100 * h, guess, longest);
}
