package codecs

import "regexp"

// TraceHeader is the header of a message with its W3C trace context.
const TraceHeader = "traceparent"

var traceparent = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// Trace returns the value of a trace header if it is one of version 00 as W3C
// has it, and the empty string for all else: anybody can write anything to a
// topic.
func Trace(header []byte) string {
	if len(header) != len("00-")+32+len("-")+16+len("-")+2 || !traceparent.Match(header) {
		return ""
	}
	return string(header)
}
