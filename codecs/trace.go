package codecs

import "regexp"

// TraceHeader is the record header with the W3C trace context of a message.
const TraceHeader = "traceparent"

var traceparent = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// Trace returns the value of a TraceHeader if it is a valid W3C traceparent of version 00, and ""
// for anything else. It must not trust the header, because anybody can write anything to a topic.
func Trace(header []byte) string {
	if len(header) != len("00-")+32+len("-")+16+len("-")+2 || !traceparent.Match(header) {
		return ""
	}
	return string(header)
}
