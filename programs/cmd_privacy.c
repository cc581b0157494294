/* cmd_privacy.c - loom privacy: what a differentially private training promises, before it is run. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "commands.h"
#include "options.h"

static const char help[] =
    "Usage: loom privacy --rate Q --steps N (--noise S | --target-epsilon E) [OPTION]...\n"
    "Accounts for DP-SGD: each of N steps takes every example with probability Q, clips its gradient and adds "
    "Gaussian\n"
    "noise of S times the clipping bound. Finds epsilon for a noise, or the least noise for an epsilon.\n"
    "\n"
    "  --rate Q             sampling rate: expected batch over the number of examples\n"
    "  --steps N            optimizer steps\n"
    "  --noise S            noise multiplier\n"
    "  --target-epsilon E   find the noise instead\n"
    "  --delta D            default: 1e-5; below one over the number of examples\n"
    "  --accountant NAME    prv (default; tight, with bounds) or rdp (an upper bound at once)\n"
    "  --json               print one JSON object\n";

static const double error_of_prv = 0.01, noise_max = 1e5, epsilon_max = 1e6;

struct request {
    struct loom_privacy_plan plan; /* noise 0: to be found; rate < 0, steps 0: not given */
    double target, delta;          /* target 0: none */
    enum loom_accountant accountant;
    bool json;
};

static const char *accountant_name(enum loom_accountant accountant) {
    return accountant == LOOM_ACCOUNTANT_RDP ? "rdp" : "prv";
}

static void print_table(const struct request *r, const struct loom_privacy_spent *s) {
    bool rdp = r->accountant == LOOM_ACCOUNTANT_RDP;
    printf("epsilon              at most %.6g", s->upper);
    if (rdp)
        printf(" (order %g)\n", s->order);
    else
        printf(", about %.6g, at least %.6g\n", s->epsilon, s->lower);
    printf("delta                %g\n", r->delta);
    printf("noise multiplier     %.6g\n", r->plan.noise);
    printf("sampling rate        %g, Poisson\n", r->plan.rate);
    printf("steps                %" PRIu64 "\n", r->plan.steps);
    printf("accountant           %s\n", accountant_name(r->accountant));
}

static void print_field(const char *name, double value) {
    printf(",\"%s\":", name);
    print_json_number(stdout, value);
}

static void print_json(const struct request *r, const struct loom_privacy_spent *s) {
    printf("{\"accountant\":\"%s\",\"sampling\":\"poisson\",\"steps\":%" PRIu64, accountant_name(r->accountant),
           r->plan.steps);
    print_field("epsilon", s->upper);
    print_field("epsilon_estimate", s->epsilon);
    if (r->accountant == LOOM_ACCOUNTANT_RDP)
        print_field("order", s->order);
    else
        print_field("epsilon_lower", s->lower);
    print_field("delta", r->delta);
    print_field("noise_multiplier", r->plan.noise);
    print_field("sampling_rate", r->plan.rate);
    fputs("}\n", stdout);
}

static int account(struct request *r) {
    struct loom_privacy_spent spent;
    struct loom_error error;
    loom_status status;
    if (r->plan.rate < 0 || !r->plan.steps)
        return report_usage("privacy", "--rate and --steps are needed");
    if ((r->plan.noise > 0) == (r->target > 0))
        return report_usage("privacy", "either --noise or --target-epsilon is needed");
    if (r->target > 0)
        status = loom_privacy_noise(&r->plan, r->accountant, r->target, r->delta, &spent, &error);
    else if (r->accountant == LOOM_ACCOUNTANT_RDP)
        status = loom_privacy_rdp(&r->plan, r->delta, &spent, &error);
    else
        status = loom_privacy_prv(&r->plan, r->delta, error_of_prv, &spent, &error);
    if (status)
        return report_failure(status, &error);
    if (r->json)
        print_json(r, &spent);
    else
        print_table(r, &spent);
    return finish_output();
}

static bool take_accountant(void *user, char *name) {
    struct request *r = user;
    for (int i = 0; i < 2; i++)
        if (strcmp(name, accountant_name((enum loom_accountant)i)) == 0) {
            r->accountant = (enum loom_accountant)i;
            return true;
        }
    fprintf(stderr, "loom: --accountant is prv or rdp, not \"%s\"\n", name);
    return false;
}

int cmd_privacy(int argc, char **argv) {
    struct request r = {.plan.rate = -1, .delta = 1e-5};
    int code;
    const struct option_place options[] = {{"rate", .real = &r.plan.rate, .least = 0, .most = 1},
                                           {"steps", .count = &r.plan.steps, .low = 1, .high = 1000000000},
                                           {"noise", .real = &r.plan.noise, .least = 1e-6, .most = noise_max},
                                           {"target-epsilon", .real = &r.target, .least = 1e-9, .most = epsilon_max},
                                           {"delta", .real = &r.delta, .least = 0, .most = 1},
                                           {"accountant", .take = take_accountant, .user = &r},
                                           {"json", .flag = &r.json},
                                           {.name = NULL}};
    if (!read_command("privacy", help, NULL, options, argc, argv, &code))
        return code;
    return account(&r);
}
