/* secure: see the header. */
#include "client/secure.h"

#include <elf.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Does its file say that its capabilities take effect? */
static bool has_capabilities(const char *path)
{
	struct vfs_ns_cap_data caps;
	long n = syscall(SYS_getxattr, path, "security.capability", &caps, sizeof(caps));

	return n >= (long)sizeof(caps.magic_etc) && (caps.magic_etc & VFS_CAP_FLAGS_EFFECTIVE);
}

static bool read_at(int fd, uint64_t off, void *to, size_t len)
{
	return syscall(SYS_pread64, fd, to, len, off) == (long)len;
}

static bool read_interp(int fd, char loader[SECURE_LOADER_MAX])
{
	Elf64_Ehdr eh;
	Elf64_Phdr ph;

	if (!read_at(fd, 0, &eh, sizeof(eh)) || memcmp(eh.e_ident, ELFMAG, SELFMAG) ||
	    eh.e_ident[EI_CLASS] != ELFCLASS64 || eh.e_phentsize != sizeof(ph))
		return false;
	for (unsigned i = 0; i < eh.e_phnum; i++) {
		if (!read_at(fd, eh.e_phoff + i * sizeof(ph), &ph, sizeof(ph)))
			return false;
		if (ph.p_type != PT_INTERP)
			continue;
		return ph.p_filesz > 1 && ph.p_filesz <= SECURE_LOADER_MAX &&
		       read_at(fd, ph.p_offset, loader, ph.p_filesz) && !loader[ph.p_filesz - 1];
	}
	return false;
}

bool secure_exec(const char *path, char loader[SECURE_LOADER_MAX])
{
	if (!path || !syscall(SYS_geteuid) || !has_capabilities(path))
		return false;
	int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	bool found = read_interp(fd, loader);
	syscall(SYS_close, fd);
	return found;
}

char **secure_argv(char *loader, const char *path, char *const argv[], char **to)
{
	char **at = to;

	*at++ = loader;
	*at++ = (char *)"--argv0";
	*at++ = argv && argv[0] ? argv[0] : (char *)path;
	*at++ = (char *)path;
	for (size_t i = 1; argv && argv[0] && argv[i]; i++)
		*at++ = argv[i];
	*at = NULL;
	return to;
}

bool secure_find(const char *file, const char *search, char to[PATH_MAX])
{
	if (strchr(file, '/'))
		return snprintf(to, PATH_MAX, "%s", file) < PATH_MAX;
	for (const char *at = search ? search : "/bin:/usr/bin"; at; at = strchr(at, ':')) {
		at += *at == ':';
		int len = (int)strcspn(at, ":");
		if (snprintf(to, PATH_MAX, "%.*s%s%s", len, at, len ? "/" : "", file) < PATH_MAX &&
		    !syscall(SYS_faccessat, AT_FDCWD, to, X_OK))
			return true;
	}
	return false;
}
