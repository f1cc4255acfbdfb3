package doctor

import "golang.org/x/sys/windows"

// space returns the free and total bytes of the disk with a directory.
func space(dir string) (free, total int64, err error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, 0, err
	}
	var f, t, all uint64
	err = windows.GetDiskFreeSpaceEx(name, &f, &t, &all)
	return int64(f), int64(t), err
}
