package app

import "testing"

func TestLimit(t *testing.T) {
	for _, c := range []struct{ liveMB, want int64 }{{0, 540}, {100, 540}, {415, 540}, {500, 640}, {2000, 2592}} {
		if got := limit(c.liveMB<<20) >> 20; got != c.want {
			t.Errorf("%d MB live: a limit of %d MB, want %d", c.liveMB, got, c.want)
		}
	}
}
