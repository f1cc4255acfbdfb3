//go:build unix

package doctor

import "golang.org/x/sys/unix"

// space returns the free and total bytes of the disk with a directory.
func space(dir string) (free, total int64, err error) {
	var s unix.Statfs_t
	err = unix.Statfs(dir, &s)
	return int64(s.Bavail) * int64(s.Bsize), int64(s.Blocks) * int64(s.Bsize), err
}
