/* The yardstick: one log density of the lynx-hare posterior with its gradient, written by hand.
 *
 * Tsit5 (Tsitouras 2011, doi:10.1016/j.camwa.2011.06.002) with local extrapolation, Hairer's PI step control and initial
 * step (Hairer, Norsett & Wanner 1993, II.4), the free fourth-order interpolant at the output times, and forward
 * sensitivities that are the exact derivatives of the discrete steps for the step sizes taken. The error norm is over the
 * states only, so the steps do not depend on how many sensitivities are carried.
 *
 * Parameters are q = log(alpha, beta, gamma, delta, hare0, lynx0, sigma_hare, sigma_lynx).
 */
#include <math.h>
#include <stdint.h>

#define YEARS 21           /* the first year is the start itself */
#define MAX_STEPS 10000
#define SAFETY 0.9
#define SHRINK 0.2         /* a step shrinks at most five times ... */
#define GROW 10.0          /* ... and grows at most ten times */
#define PI_BETA 0.04       /* as in Hairer's dopri5 */
#define PI_ALPHA (0.2 - 0.75 * PI_BETA)
#define LEAST_ERROR -9.210340371976182736  /* log(1e-4): the least error that the controller remembers */
#define HALF_LOG_2PI 0.91893853320467274178

/* One state's sensitivities to alpha, beta, gamma, delta, hare0, lynx0; two unused lanes keep it one or two registers. */
typedef double row __attribute__((vector_size(64)));
typedef struct { double u, v; } pair;             /* hare, lynx */
typedef struct { row u, v; } pair_row;
typedef struct { double alpha, beta, gamma, delta; } rates;

#define A21 0.161
#define A31 -0.0084806554923569885
#define A32 0.33548065549235699
#define A41 2.8971530571054935
#define A42 -6.3594484899750751
#define A43 4.3622954328695814
#define A51 5.3258648284392566
#define A52 -11.748883564062828
#define A53 7.4955393428898362
#define A54 -0.092495066361755248
#define A61 5.8614554429464200
#define A62 -12.920969317847109
#define A63 8.1593678985761586
#define A64 -0.071584973281400997
#define A65 -0.028269050394068383
#define B1 0.096460766806652252
#define B2 0.01
#define B3 0.47988965041449960
#define B4 1.3790085741037419
#define B5 -3.2900695154360807
#define B6 2.3247105240997740
#define E1 0.0017800110522257714
#define E2 0.00081643445965674690
#define E3 -0.0078808780102619610
#define E4 0.14471100717326298
#define E5 -0.58235716545255523
#define E6 0.45808210592918695
#define E7 (-1.0 / 66.0)

/* The same sums serve scalars and rows; h times a weight is shared and leaves one multiply-add behind the last slope. */
#define STAGE2(y, k) ((y) + (h * A21) * k(0))
#define STAGE3(y, k) ((y) + (h * A31) * k(0) + (h * A32) * k(1))
#define STAGE4(y, k) ((y) + (h * A41) * k(0) + (h * A42) * k(1) + (h * A43) * k(2))
#define STAGE5(y, k) ((y) + (h * A51) * k(0) + (h * A52) * k(1) + (h * A53) * k(2) + (h * A54) * k(3))
#define STAGE6(y, k) \
    ((y) + (h * A61) * k(0) + (h * A62) * k(1) + (h * A63) * k(2) + (h * A64) * k(3) + (h * A65) * k(4))
#define STAGE7(y, k) \
    ((y) + (h * B1) * k(0) + (h * B2) * k(1) + (h * B3) * k(2) + (h * B4) * k(3) + (h * B5) * k(4) + (h * B6) * k(5))
#define KU(i) k[i].u
#define KV(i) k[i].v
#define BOTH(STAGE) {STAGE(y.u, KU), STAGE(y.v, KV)}

static inline pair slope(pair y, const rates *p) {
    return (pair){(p->alpha - p->beta * y.v) * y.u, (p->delta * y.u - p->gamma) * y.v};
}

static inline double norm(pair x, pair scale) {
    const double u = x.u / scale.u, v = x.v / scale.v;
    return sqrt(0.5 * (u * u + v * v));
}

/* Seven stages: at[1..6] are the states at which k[1..6] are taken, at[6] is the step's end, k[6] the next step's k[0].
 * Returns the squared error, so that its root and its two powers cost one logarithm and one exponential. */
static inline double take_step(pair y, double h, const rates *p, double rtol, double atol, pair *at, pair *k) {
    at[0] = y;
    at[1] = (pair)BOTH(STAGE2), k[1] = slope(at[1], p);
    at[2] = (pair)BOTH(STAGE3), k[2] = slope(at[2], p);
    at[3] = (pair)BOTH(STAGE4), k[3] = slope(at[3], p);
    at[4] = (pair)BOTH(STAGE5), k[4] = slope(at[4], p);
    at[5] = (pair)BOTH(STAGE6), k[5] = slope(at[5], p);
    at[6] = (pair)BOTH(STAGE7), k[6] = slope(at[6], p);
#define ERROR(k) h * (E1 * k(0) + E2 * k(1) + E3 * k(2) + E4 * k(3) + E5 * k(4) + E6 * k(5) + E7 * k(6))
    const pair error = {ERROR(KU), ERROR(KV)};
    const pair scale = {atol + rtol * fmax(fabs(y.u), fabs(at[6].u)), atol + rtol * fmax(fabs(y.v), fabs(at[6].v))};
    const double eu = error.u / scale.u, ev = error.v / scale.v;
    return 0.5 * (eu * eu + ev * ev);
}

/* d(slope)/d(everything): the state Jacobian times the sensitivities, plus the partial derivatives by the rates. */
static inline pair_row slope_row(pair y, pair_row s, const rates *p) {
    const double uv = y.u * y.v;
    const row own_u = {y.u, -uv, 0, 0, 0, 0, 0, 0}, own_v = {0, 0, -y.v, uv, 0, 0, 0, 0};
    return (pair_row){(p->alpha - p->beta * y.v) * s.u - (p->beta * y.u) * s.v + own_u,
                      (p->delta * y.v) * s.u + (p->delta * y.u - p->gamma) * s.v + own_v};
}

/* The same step for the sensitivities; runs after a step is accepted, so rejected ones cost nothing here. */
static inline pair_row take_row_step(pair_row y, double h, const rates *p, const pair *at, pair_row *k) {
    pair_row s;
    s = (pair_row)BOTH(STAGE2), k[1] = slope_row(at[1], s, p);
    s = (pair_row)BOTH(STAGE3), k[2] = slope_row(at[2], s, p);
    s = (pair_row)BOTH(STAGE4), k[3] = slope_row(at[3], s, p);
    s = (pair_row)BOTH(STAGE5), k[4] = slope_row(at[4], s, p);
    s = (pair_row)BOTH(STAGE6), k[5] = slope_row(at[5], s, p);
    s = (pair_row)BOTH(STAGE7), k[6] = slope_row(at[6], s, p);
    return s;
}

/* Weights of the seven slopes at the share t of the step. */
static inline void interpolant(double t, double *b) {
    const double tt = t * t;
    b[0] = -1.0530884977290216 * t * (t - 1.3299890189751412) * (tt - 1.4364028541716351 * t + 0.7139816917074209);
    b[1] = 0.1017 * tt * (tt - 2.1966568338249754 * t + 1.2949852507374631);
    b[2] = 2.490627285651252793 * tt * (tt - 2.38535645472061657 * t + 1.57803468208092486);
    b[3] = -16.54810288924490272 * (t - 1.21712927295533244) * (t - 0.61620406037800089) * tt;
    b[4] = 47.37952196281928122 * (t - 1.203071208372362603) * (t - 0.658047292653547382) * tt;
    b[5] = -34.87065786149660974 * (t - 1.2) * (t - 0.666666666666666667) * tt;
    b[6] = 2.5 * (t - 1.0) * (t - 0.6) * tt;
}

static double first_step(pair y, pair f, const rates *p, double rtol, double atol) {
    const pair scale = {atol + rtol * fabs(y.u), atol + rtol * fabs(y.v)};
    const double d0 = norm(y, scale), d1 = norm(f, scale);
    const double h0 = d0 < 1e-5 || d1 < 1e-5 ? 1e-6 : 0.01 * d0 / d1;
    const pair f1 = slope((pair){y.u + h0 * f.u, y.v + h0 * f.v}, p);
    const double d2 = norm((pair){f1.u - f.u, f1.v - f.v}, scale) / h0, steepest = fmax(d1, d2);
    const double h1 = steepest <= 1e-15 ? fmax(1e-6, 1e-3 * h0) : pow(0.01 / steepest, 0.2);
    return fmin(100.0 * h0, h1);
}

/* What one measured year adds to the value and, by its sensitivities, to the gradient. */
typedef struct { double value, du, dv; row dtheta; double inv_u, inv_v; } likelihood;

static inline void measure(likelihood *sum, const double *log_data, pair z, pair_row s) {
    const double ru = (log_data[0] - log(z.u)) * sum->inv_u, rv = (log_data[1] - log(z.v)) * sum->inv_v;
    sum->value -= 0.5 * (ru * ru + rv * rv);
    sum->du += ru * ru;
    sum->dv += rv * rv;
    sum->dtheta += (ru * sum->inv_u / z.u) * s.u + (rv * sum->inv_v / z.v) * s.v;
}

/* Solve over the years and measure on the way. Returns the number of steps tried, or -1 when the solve fails. */
static int solve(const double *log_data, pair y, const rates *p, double rtol, double atol, likelihood *sum) {
    pair at[7], k[7];
    pair_row s = {{0, 0, 0, 0, 1}, {0, 0, 0, 0, 0, 1}}, ks[7];
    const double end = YEARS - 1;
    double t = 0.0, last = PI_BETA * LEAST_ERROR;
    int year = 1, rejected = 0;
    k[0] = slope(y, p);
    ks[0] = slope_row(y, s, p);
    double h = fmin(first_step(y, k[0], p, rtol, atol), end);
    measure(sum, log_data, y, s);
    for (int tried = 1; tried <= MAX_STEPS; tried++) {
        const double error2 = take_step(y, h, p, rtol, atol, at, k), size = 0.5 * log(error2);
        if (!(error2 <= 1.0)) {                       /* also when it is not a number */
            h *= fmax(SHRINK, SAFETY * exp(-PI_ALPHA * size));
            rejected = 1;
            if (!(h > 1e-14)) return -1;
            continue;
        }
        const double after = t + h >= end ? end : t + h;
        const pair_row s_next = take_row_step(s, h, p, at, ks);
        for (; year < YEARS && year <= after; year++) {
            double b[7];
            pair z = y;
            pair_row zs = s;
            interpolant((year - t) / h, b);
            for (int i = 0; i < 7; i++) {
                z.u += h * b[i] * k[i].u, z.v += h * b[i] * k[i].v;
                zs.u += h * b[i] * ks[i].u, zs.v += h * b[i] * ks[i].v;
            }
            if (!(z.u > 0.0 && z.v > 0.0)) return -1;
            measure(sum, log_data + 2 * year, z, zs);
        }
        if (year == YEARS) return tried;
        const double growth = fmin(GROW, fmax(SHRINK, SAFETY * exp(last - PI_ALPHA * size)));
        t = after, y = at[6], s = s_next, k[0] = k[6], ks[0] = ks[6];
        last = PI_BETA * fmax(size, LEAST_ERROR);
        h = fmin(rejected ? fmin(growth, 1.0) * h : growth * h, end - t);
        rejected = 0;
    }
    return -1;
}

/* Value and gradient at q[8]; log_data holds log(hare), log(lynx) for each year. */
int lynx_hare(const double *log_data, const double *q, double tolerance, double *value, double *gradient) {
    const double theta[6] = {exp(q[0]), exp(q[1]), exp(q[2]), exp(q[3]), exp(q[4]), exp(q[5])};
    const rates p = {theta[0], theta[1], theta[2], theta[3]};
    likelihood sum = {.inv_u = exp(-q[6]), .inv_v = exp(-q[7])};
    const int steps = solve(log_data, (pair){theta[4], theta[5]}, &p, tolerance, tolerance, &sum);
    if (steps < 0) {
        *value = -INFINITY;
        for (int i = 0; i < 8; i++) gradient[i] = NAN;
        return steps;
    }
    double lp = sum.value - YEARS * (q[6] + q[7] + 2.0 * HALF_LOG_2PI);
    for (int i = 0; i < 2 * YEARS; i++) lp -= log_data[i];
    for (int i = 0; i < 4; i++) {                    /* Normal(mean, sd) above zero; q is the log's Jacobian */
        const double mean = i % 2 ? 0.05 : 1.0, sd = i % 2 ? 0.05 : 0.5, z = (theta[i] - mean) / sd;
        const double log_mass = i % 2 ? -0.17275377902344989 : -0.023012909328963488;  /* log Phi(1), log Phi(2) */
        lp += q[i] - 0.5 * z * z - log(sd) - HALF_LOG_2PI - log_mass;
        gradient[i] = theta[i] * (sum.dtheta[i] - z / sd) + 1.0;
    }
    for (int i = 4; i < 8; i++) {                    /* LogNormal(log 10, 1) and LogNormal(-1, 1) */
        const double z = q[i] - (i < 6 ? 2.302585092994045684 : -1.0);
        lp -= 0.5 * z * z + HALF_LOG_2PI;
        gradient[i] = -z + (i < 6 ? theta[i] * sum.dtheta[i] : 0.0);
    }
    gradient[6] += sum.du - YEARS;
    gradient[7] += sum.dv - YEARS;
    *value = lp;
    return steps;
}

/* A sweep over many points inside C, so that no foreign-call cost is in the time. Returns the steps tried in all. */
int64_t lynx_hare_sweep(const double *log_data, const double *points, int64_t count, double tolerance,
                        double *values, double *gradients) {
    int64_t steps = 0;
    for (int64_t i = 0; i < count; i++)
        steps += lynx_hare(log_data, points + 8 * i, tolerance, values + i, gradients + 8 * i);
    return steps;
}

/* The same sweep over a compiled density with nutpie's signature, called as nutpie calls it. Returns failures. */
typedef int64_t (*density)(uint64_t dim, double *x, double *gradient, double *value, void *user_data);

int64_t density_sweep(density function, void *user_data, int64_t dim, double *points, int64_t count,
                      double *values, double *gradients) {
    int64_t failures = 0;
    for (int64_t i = 0; i < count; i++)
        failures += function(dim, points + dim * i, gradients + dim * i, values + i, user_data) != 0;
    return failures;
}
