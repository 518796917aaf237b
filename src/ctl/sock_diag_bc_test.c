/* Tests of ss's filters: programs as ss writes them, and any bytes: what passes the check ends,
 * inside. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rand.h"
#include "ctl/sock_diag_core.h"

static const struct sock_diag_entry entry = {.saddr = 0x0100007f,
					     .daddr = 0x05040a0a,
					     .sport = 80,
					     .dport = 4000,
					     .ifindex = 3,
					     .mark = 5};

static bool accepts(const void *bc, size_t len)
{
	assert_int_equal(sock_diag_bc_check(bc, len), 0);
	return sock_diag_bc_run(bc, len, &entry);
}

static struct inet_diag_bc_op op(uint8_t code, uint8_t yes, uint16_t no)
{
	return (struct inet_diag_bc_op){.code = code, .yes = yes, .no = no};
}

static void test_ports(void **state)
{
	struct inet_diag_bc_op p[2] = {op(INET_DIAG_BC_S_EQ, 8, 12), op(0, 0, 80)};

	assert_true(accepts(p, sizeof(p)));
	p[1].no = 81;
	assert_false(accepts(p, sizeof(p)));
	p[0].code = INET_DIAG_BC_S_LE;
	assert_true(accepts(p, sizeof(p)));
	p[0].code = INET_DIAG_BC_S_GE;
	assert_false(accepts(p, sizeof(p)));
	p[0].code = INET_DIAG_BC_D_GE;
	assert_true(accepts(p, sizeof(p)));
	p[1].no = 4000;
	p[0].code = INET_DIAG_BC_D_EQ;
	assert_true(accepts(p, sizeof(p)));
	p[0].code = INET_DIAG_BC_D_LE;
	assert_true(accepts(p, sizeof(p)));
}

static void test_hosts(void **state)
{
	struct {
		struct inet_diag_bc_op op;
		struct inet_diag_hostcond c;
		uint32_t addr;
	} p = {op(INET_DIAG_BC_D_COND, sizeof(p), sizeof(p) + 4),
	       {.family = AF_INET, .prefix_len = 8, .port = -1},
	       0x0000000a};

	assert_true(accepts(&p, sizeof(p)));
	p.c.prefix_len = 16;
	assert_false(accepts(&p, sizeof(p)));
	p.addr = 0x00000a0a;
	assert_true(accepts(&p, sizeof(p)));
	p.c.port = 4000;
	assert_true(accepts(&p, sizeof(p)));
	p.c.port = 4001;
	assert_false(accepts(&p, sizeof(p)));
	p.c.prefix_len = 33;
	assert_int_equal(sock_diag_bc_check(&p, sizeof(p)), -EINVAL);
	p.c.prefix_len = 0;
	p.c.family = AF_INET6; /* has no room for its address */
	assert_int_equal(sock_diag_bc_check(&p, sizeof(p)), -EINVAL);
}

static void test_jumps(void **state)
{
	/* sport = 81 or sport = 80 */
	struct inet_diag_bc_op p[5] = {op(INET_DIAG_BC_S_EQ, 8, 12), op(0, 0, 81),
				       op(INET_DIAG_BC_JMP, 4, 12), op(INET_DIAG_BC_S_EQ, 8, 12),
				       op(0, 0, 80)};

	assert_true(accepts(p, sizeof(p)));
	p[4].no = 82;
	assert_false(accepts(p, sizeof(p)));
	p[1].no = 80;
	assert_true(accepts(p, sizeof(p)));
	p[0].no = 16; /* into an argument */
	assert_int_equal(sock_diag_bc_check(p, sizeof(p)), -EINVAL);
	p[0].no = 28; /* too far */
	assert_int_equal(sock_diag_bc_check(p, sizeof(p)), -EINVAL);
	p[0].no = 12;
	p[0].yes = 0; /* for ever */
	assert_int_equal(sock_diag_bc_check(p, sizeof(p)), -EINVAL);
	assert_int_equal(sock_diag_bc_check(p, 3), -EINVAL);
}

static void test_any(void **state)
{
	struct rng rng;
	unsigned passed = 0;

	rng_seed(&rng, 7);
	for (unsigned round = 0; round < 400000; round++) {
		size_t len = 4 * (1 + rng_below(&rng, 8));
		uint8_t *bc = malloc(len); /* of its exact size, for those who watch its ends */

		for (size_t i = 0; i < len; i += 4) {
			bc[i] = (uint8_t)rng_below(&rng, 15);
			bc[i + 1] = (uint8_t)(4 * rng_below(&rng, 6));
			bc[i + 2] = (uint8_t)(4 * rng_below(&rng, 9));
			bc[i + 3] = 0;
		}
		if (!sock_diag_bc_check(bc, len)) {
			sock_diag_bc_run(bc, len, &entry);
			passed++;
		}
		free(bc);
	}
	assert_true(passed > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_jumps),
		cmocka_unit_test(test_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
