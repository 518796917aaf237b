/*
 * shim: the requests a program makes of the daemon, behind the socket calls.
 *
 * Every thread of a program that touches the network holds a connection: AF_UNIX SEQPACKET to
 * <run directory>/ctl. The first record is WEFT_OP_HELLO. A request is struct weft_req and its
 * payload; the answer struct weft_rep and its payload, with a descriptor where one is due. One
 * request is under way at a time; the daemon answers each at once and never blocks on it (waiting
 * is done on the sockets' own descriptors).
 *
 * How a socket is known: the daemon binds the program's end of each pair to an abstract AF_UNIX
 * name, "\0weft/<instance>/<id>/<family>/<type>/<protocol>" in decimal (instance in hex), so that
 * getsockname(2) on any descriptor tells, in any process, after fork, exec, dup or passing, whether
 * it is a weft socket and which. The id is never used again within an instance.
 *
 * Streams carry bytes alone; every other type carries struct weft_dgram (abi/dgram.h).
 */
#pragma once

#include <stdint.h>

#define WEFT_PROTOCOL 1u
#define WEFT_MSG_MAX  (192 * 1024) /* a record on a connection: header and payload */

/* Environment a program runs with. */
#define WEFT_ENV_DIR   "WEFT_DIR"   /* the instance's run directory */
#define WEFT_ENV_NETNS "WEFT_NETNS" /* "<ino>:<token fd>" of the process's namespace */

/* Nanoseconds of the time of change that tell the file of a namespace: its seconds are the ino. */
#define WEFT_NS_NSEC 723657574

enum weft_op {
	WEFT_OP_HELLO = 1,  /* arg0: WEFT_PROTOCOL, arg1: namespace ino (0: first). Reply: arg0 ino,
			       arg1 instance id, payload: instance name */
	WEFT_OP_SOCKET,	    /* arg0 family, arg1 type, arg2 protocol. Reply: fd, arg0 socket id */
	WEFT_OP_BIND,	    /* sock; payload: sockaddr */
	WEFT_OP_CONNECT,    /* sock; arg0: 1 O_NONBLOCK; payload: sockaddr. Reply, of streams: arg0
			       enum weft_connect, maybe fd */
	WEFT_OP_GETNAME,    /* sock; arg0: 1 for the peer. Reply: payload sockaddr */
	WEFT_OP_SEND,	    /* sock; payload: struct weft_dgram, data. Reply: arg0 bytes, arg1, of
			       streams: enum weft_connect (MSG_FASTOPEN) */
	WEFT_OP_SETSOCKOPT, /* sock; arg0 level, arg1 name; payload: value */
	WEFT_OP_GETSOCKOPT, /* sock; arg0 level, arg1 name, arg2 room; payload: value in (some read
			       it). Reply: payload value */
	WEFT_OP_IOCTL, /* sock; arg0 cmd; payload: the argument, flattened (see below). Reply: same
			*/
	WEFT_OP_SHUTDOWN, /* sock; arg0 how */
	WEFT_OP_LISTEN, /* sock; arg0 backlog. Reply: arg0 1: it did not listen before; maybe fd */
	WEFT_OP_MMAP,	/* sock; arg0 length. Reply: fd of the ring's memory, arg0 its size */
	WEFT_OP_SEND_KICK, /* sock: frames wait in a transmit ring */
	WEFT_OP_NS_NEW,	   /* unshare(CLONE_NEWNET). Reply: arg0 ino, fd: token */
	WEFT_OP_NS_SET,	   /* setns: arg0 ino. Reply: arg0 ino, fd: token */
	WEFT_OP_NS_OF_PID, /* arg0 pid. Reply: arg0 ino */
	WEFT_OP_NS_FILE,   /* arg0 ino (0: own). Reply: payload path of the namespace's file */
	WEFT_OP_NS_NAME,   /* mount --bind on a name: arg0 ino, payload name; or, arg1 1, the kernel
			      has mounted it at the path in the payload */
	WEFT_OP_NS_UNNAME, /* umount: payload name; or, arg1 1, the path */
	WEFT_OP_OPEN,	   /* arg0 O_* flags, arg1 mode, arg2 ino (0: own); payload path
			      (/proc/net/dev). Reply: fd, arg0: 1 when the file takes writes, arg1:
			      file handle for WEFT_OP_WRITE */
	WEFT_OP_WRITE,	   /* sock: handle, or arg0 ino (0: own); payload: path NUL text, as one
			      write(2). Reply: arg0 bytes */
	WEFT_OP_SHADOW, /* payload path of a directory or file, arg0 enum weft_depth, arg2 ino (0:
			   own). Reply: payload path of a real copy with names, kinds and modes
			   right */
	WEFT_OP_INFO,	/* payload: what ("stages", "drops", "clients", "trace ..."). Reply: fd of a
			   memfd   with JSON */
	WEFT_OP_STOP,	/* ends the daemon */
	WEFT_OP_KEEP,	/* arg0: 1 the daemon stays when its last client leaves */
	WEFT_OP_STREAM, /* sock: how a stream stands. Reply: arg0 enum weft_stream, arg1 what
			   poll(2) shows of it */
	WEFT_OP_ERRQ, /* sock. Takes the first of the error queue. Reply: payload struct weft_dgram,
			 data; arg0 how many are left, arg1 so_error. EAGAIN: none. arg0: 1 takes
			 nothing, but marks anew what waits */
};

/* What of a copy is brought up to date. */
enum weft_depth {
	WEFT_DEPTH_LOOK, /* what the path names */
	WEFT_DEPTH_LIST, /* and, of a directory, the names in it */
	WEFT_DEPTH_TREE, /* and all below */
};

/* How a stream stands. */
enum weft_stream {
	WEFT_STREAM_NONE, /* no connection, or none that came about */
	WEFT_STREAM_CONNECTING,
	WEFT_STREAM_UP, /* connected; or it was */
	WEFT_STREAM_LISTEN,
};

/* What came of a connect. The errors are those of connect(2). */
enum weft_connect {
	WEFT_CONNECT_DONE,
	WEFT_CONNECT_WAIT, /* under way: junk is to be written */
	WEFT_CONNECT_SOON, /* O_NONBLOCK: EINPROGRESS, but it has been decided: no junk */
	WEFT_CONNECT_BUSY, /* an earlier one is under way still */
};

/* What a listener's descriptor carries, one for each connection, with its descriptor. */
struct weft_accept {
	uint64_t id;
	uint32_t name_len, pad;
	uint8_t name[32]; /* the peer's, struct sockaddr_in or _in6 */
};

/* Writes of a byte each that make a descriptor not writable whose SO_SNDBUF is the least there is
 */
#define WEFT_STREAM_JUNK 3

/* ioctl arguments, flattened: struct ifreq by itself; SIOCGIFCONF: struct ifconf's length as
 * uint32_t in, the array of struct ifreq out, its bytes in arg0; SIOCETHTOOL, SIOCGHWTSTAMP and
 * SIOCSHWTSTAMP: struct ifreq, then the bytes ifr_data points to; SIOCADDRT and SIOCDELRT: struct
 * rtentry, then IFNAMSIZ bytes of what rt_dev points to (empty: NULL); SIOCGARP and its like:
 * struct arpreq; SIOCGSTAMP and its like: two int64_t; SIOCOUTQ: an int. FIONREAD is answered by
 * the shim.
 */

/* What the table leaves open, as the daemon has it:
 *
 * HELLO may be sent again on a connection (after setns or unshare in another thread); an unknown
 * ino is EINVAL, a wrong protocol EPROTO and the end of the connection. Any other first record, and
 * a record whose len is not its size, end the connection without an answer. Unknown requests:
 * ENOSYS; an unknown socket: EBADF.
 * SOCKET: SOCK_NONBLOCK and SOCK_CLOEXEC may be in the type; the first is set on the descriptor,
 * the second is the receiver's (MSG_CMSG_CLOEXEC).
 * Pairs: our end shuts down its way out when the socket can receive no more (SHUTDOWN): the program
 * reads end of file. End of file without that means that the daemon is gone. The program's end must
 * not be shut down both ways: it reads as closed. A record of struct weft_dgram and data that a
 * program writes to its end is sent as by SEND; its error becomes so_error.
 * Streams: the pair is a SOCK_STREAM one and carries the bytes, both ways. What a program wrote is
 * taken before its next request, as far as there is room for it in the socket. Our end shuts down
 * its way in when the program can write no more (SHUTDOWN, or the connection broke), its way out
 * behind the last byte to be read. Why a connection broke is so_error, and whoever finds an end
 * asks for it (SO_ERROR). A listener's pair carries struct weft_accept.
 * CONNECT and LISTEN may answer with a descriptor: what the socket was used for before is over, and
 * it takes the place of the program's.
 * A descriptor must not look writable while it listens or connects. The shim sees to that: after
 * the answer of LISTEN, or WEFT_CONNECT_WAIT of CONNECT, it sets SO_SNDBUF to the least and writes
 * WEFT_STREAM_JUNK bytes, each by itself. When a connect has been decided, either way, the daemon
 * removes them. A connect that failed is told by CONNECT or SO_ERROR; the pair stays in use.
 * so_error and the error queue stay with the daemon. What travels are marks, records without
 * payload, so that the descriptor becomes readable: WEFT_DGRAM_ERROR when so_error is set, ahead of
 * data not yet in the pair, and WEFT_DGRAM_ERRQ, in order with the data, for each of the error
 * queue. A mark whose error has been taken since (by SEND, by SO_ERROR of GETSOCKOPT, by ERRQ)
 * means nothing. What a request sets off can be read from the pair when its answer has come.
 * SETSOCKOPT of a filter: the flat array of struct sock_filter.
 * A connection is made at <run directory>/ctl, which the owner and root may do; or by a record on a
 * token with one end of a SEQPACKET pair: programs keep their network when they give up their user.
 * Tokens (NS_NEW, NS_SET; NS_SET with ino 0: a token of the own namespace): one end of a pair, to
 * be kept open and inherited across fork and exec by each process of the namespace, without
 * FD_CLOEXEC; its number stands in WEFT_NETNS. The instance ends, unless kept, when the last
 * connection and the last token have been closed. Their abstract names begin "weft/<instance>/ns/".
 * NS_FILE: arg0 of the reply is the ino. The file holds "<ino>\n", and its time of change is <ino>
 * seconds and WEFT_NS_NSEC; a name that stands for nothing yet is an empty file. An open file keeps
 * its namespace.
 * NS_NAME, NS_UNNAME: payload is the last part of the path; a whole path is cut. NS_NAME replaces
 * what is at <run directory>/netns/NAME by the namespace's file, NS_UNNAME by an empty file.
 * NS_OF_PID: 1, when it is no process of ours, stands for the first namespace, as it does on Linux.
 * OPEN, O_RDONLY: a sealed memfd, called "weft:<ino>:<path>". O_WRONLY: one end of a pair, named
 * "weft/<instance>/f/<handle>"; what is written to it, a write(2) a record, is taken before any
 * later request of any program. To learn of the error, write by WRITE instead. O_RDWR: a memfd with
 * the content; write by WRITE.
 * WRITE: with a handle, in the file and the namespace of the OPEN: the path is ignored. With a
 * handle and no payload at all: the last error of what was written to the pair, once.
 * A directory is EISDIR: SHADOW shows it.
 * SHADOW: links in the path are followed, and are links in the copy.
 * INFO: "stages", "drops [json]", "trace start N", "trace", "trace stop", "clients", "version";
 * text, but "stages json", "trace" and "clients" are JSON.
 */

struct weft_req {
	uint32_t op;
	uint32_t len; /* payload bytes behind this header */
	uint64_t sock;
	uint64_t arg0, arg1, arg2;
};

struct weft_rep {
	int32_t err; /* 0 or -errno */
	uint32_t len;
	uint64_t arg0, arg1, arg2;
};
