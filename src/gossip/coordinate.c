/* Vivaldi as gossip.md 10.2 has it, evaluated in the order given there: the results must agree with
 * the peer's bit for bit (so the build forbids fused operations: -ffp-contract=off).
 */
#include "gossip/coordinate.h"

#include <math.h>

#include "base/time.h"

#define ERROR_MAX 1.5
#define ERROR_WEIGHT 0.25    /* ce */
#define POSITION_WEIGHT 0.25 /* cc */
#define HEIGHT_MIN 1e-5
#define GRAVITY_RHO 150.0
#define ZERO_THRESHOLD 1e-6
#define RTT_MAX (10 * SECOND)

struct gossip_coordinate coordinate_initial(void) {
    return (struct gossip_coordinate){.error = ERROR_MAX, .height = HEIGHT_MIN};
}

bool coordinate_is_valid(const struct gossip_coordinate *c) {
    for (int i = 0; i < COORDINATE_DIMENSIONS; i++) {
        if (!isfinite(c->vec[i]))
            return false;
    }
    return isfinite(c->error) && isfinite(c->adjustment) && isfinite(c->height);
}

static double magnitude(const double v[COORDINATE_DIMENSIONS]) {
    double sum = 0;
    for (int i = 0; i < COORDINATE_DIMENSIONS; i++)
        sum += v[i] * v[i];
    return sqrt(sum);
}

static double raw_distance(const struct gossip_coordinate *a, const struct gossip_coordinate *b) {
    double d[COORDINATE_DIMENSIONS];
    for (int i = 0; i < COORDINATE_DIMENSIONS; i++)
        d[i] = a->vec[i] - b->vec[i];
    return magnitude(d) + a->height + b->height;
}

int64_t coordinate_distance(const struct gossip_coordinate *a, const struct gossip_coordinate *b) {
    double distance = raw_distance(a, b);
    double adjusted = distance + a->adjustment + b->adjustment;
    if (adjusted > 0)
        distance = adjusted;
    double ns = distance * 1e9;
    return ns >= 0x1p63 || isnan(ns) ? INT64_MAX : (int64_t)ns;
}

/* The direction from b to a; the distance, or 0 when they lie together and it is a random one. */
static double unit_vector(const struct gossip_coordinate *a, const struct gossip_coordinate *b,
                          struct prng *rng, double unit[COORDINATE_DIMENSIONS]) {
    double d[COORDINATE_DIMENSIONS];
    for (int i = 0; i < COORDINATE_DIMENSIONS; i++)
        d[i] = a->vec[i] - b->vec[i];
    double m = magnitude(d);
    if (m > ZERO_THRESHOLD) {
        for (int i = 0; i < COORDINATE_DIMENSIONS; i++)
            unit[i] = d[i] * (1.0 / m);
        return m;
    }
    for (int i = 0; i < COORDINATE_DIMENSIONS; i++)
        d[i] = prng_unit(rng) - 0.5;
    m = magnitude(d);
    for (int i = 0; i < COORDINATE_DIMENSIONS; i++)
        unit[i] = m > ZERO_THRESHOLD ? d[i] * (1.0 / m) : i == 0;
    return 0;
}

static void apply_force(struct gossip_coordinate *c, double force,
                        const struct gossip_coordinate *other, struct prng *rng) {
    double unit[COORDINATE_DIMENSIONS];
    double m = unit_vector(c, other, rng, unit);
    for (int i = 0; i < COORDINATE_DIMENSIONS; i++)
        c->vec[i] = c->vec[i] + unit[i] * force;
    if (m > ZERO_THRESHOLD) {
        double height = (c->height + other->height) * force / m + c->height;
        c->height = height > HEIGHT_MIN ? height : HEIGHT_MIN;
    }
}

void coordinate_client_init(struct coordinate_client *c) {
    *c = (struct coordinate_client){.own = coordinate_initial()};
}

/* The median of the newest round-trip times. */
static double filtered_rtt(struct coordinate_filter *f, int64_t rtt) {
    if (f->len == COORDINATE_LATENCY_FILTER) {
        for (unsigned i = 1; i < f->len; i++)
            f->rtt[i - 1] = f->rtt[i];
        f->len--;
    }
    f->rtt[f->len++] = rtt;
    int64_t sorted[COORDINATE_LATENCY_FILTER];
    for (unsigned i = 0; i < f->len; i++) {
        unsigned at = i;
        for (; at > 0 && sorted[at - 1] > f->rtt[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = f->rtt[i];
    }
    int64_t median = sorted[f->len / 2];
    /* Seconds as the peer makes them: the whole ones and the rest apart. */
    return (double)(median / SECOND) + (double)(median % SECOND) / 1e9;
}

static void update_position(struct coordinate_client *c, const struct gossip_coordinate *other,
                            double rtt, struct prng *rng) {
    int64_t ns = coordinate_distance(&c->own, other);
    double distance = (double)(ns / SECOND) + (double)(ns % SECOND) / 1e9;
    if (rtt < ZERO_THRESHOLD)
        rtt = ZERO_THRESHOLD;
    double wrong = fabs(distance - rtt) / rtt;
    double total = c->own.error + other->error;
    if (total < ZERO_THRESHOLD)
        total = ZERO_THRESHOLD;
    double weight = c->own.error / total;
    double error = ERROR_WEIGHT * weight * wrong + c->own.error * (1.0 - ERROR_WEIGHT * weight);
    c->own.error = error > ERROR_MAX ? ERROR_MAX : error;
    apply_force(&c->own, POSITION_WEIGHT * weight * (rtt - distance), other, rng);
}

static void update_adjustment(struct coordinate_client *c, const struct gossip_coordinate *other,
                              double rtt) {
    c->samples[c->sample_at] = rtt - raw_distance(&c->own, other);
    c->sample_at = (c->sample_at + 1) % COORDINATE_SAMPLES;
    double sum = 0;
    for (int i = 0; i < COORDINATE_SAMPLES; i++)
        sum += c->samples[i];
    c->own.adjustment = sum / (2.0 * COORDINATE_SAMPLES);
}

static void update_gravity(struct coordinate_client *c, struct prng *rng) {
    struct gossip_coordinate origin = coordinate_initial();
    int64_t ns = coordinate_distance(&origin, &c->own);
    double distance = (double)(ns / SECOND) + (double)(ns % SECOND) / 1e9;
    double scaled = distance / GRAVITY_RHO;
    apply_force(&c->own, -1.0 * (scaled * scaled), &origin, rng);
}

bool coordinate_move(struct coordinate_client *c, struct coordinate_filter *filter,
                     const struct gossip_coordinate *other, int64_t rtt, struct prng *rng,
                     struct error *e) {
    if (!coordinate_is_valid(other))
        return error_set(e, ERROR_INTERNAL, "coordinate is invalid");
    if (rtt < 0 || rtt > RTT_MAX) {
        struct str text = duration_format(e->arena, rtt);
        return error_set(e, ERROR_INTERNAL,
                         "round trip time not in valid range, duration " STR_FMT
                         " is not a positive value less than 10s ",
                         STR_ARG(text));
    }
    double seconds = filtered_rtt(filter, rtt);
    update_position(c, other, seconds, rng);
    update_adjustment(c, other, seconds);
    update_gravity(c, rng);
    if (!coordinate_is_valid(&c->own)) {
        c->own = coordinate_initial();
        c->resets++;
    }
    return true;
}
