/*
 * sock_diag: NETLINK_SOCK_DIAG: sockets shown to ss(8), filtered here rather than there, and ended
 * by it (SOCK_DESTROY).
 *
 * A request names a family; each has its row in sock_diag.c and its file: sock_diag_inet.c (UDP,
 * raw), sock_diag_packet.c, sock_diag_netlink.c. UNIX sockets are the host's: none is shown. A dump
 * walks the namespace's sockets by a struct sock_walk, so that it may stop at a full datagram while
 * sockets come and go.
 *
 * All on control.
 */
#pragma once

#include "run/instance.h"

int sock_diag_init(struct weft *weft);
void sock_diag_fini(struct weft *weft);
