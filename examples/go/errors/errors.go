package kubeless

import (
	"fmt"
	"strconv"

	"github.com/kubeless/kubeless/pkg/functions"
)

// Divide shows the ways a function fails. An error and a panic are both answered 500 without a word of what went
// wrong; the log has the message, and for a panic the stack.
func Divide(event functions.Event, context functions.Context) (string, error) {
	query := event.Extensions.Request.URL.Query()
	dividend, err := strconv.Atoi(query.Get("a"))
	if err != nil {
		return "", fmt.Errorf("a is not a number: %w", err)
	}
	divisor, err := strconv.Atoi(query.Get("b"))
	if err != nil {
		return "", fmt.Errorf("b is not a number: %w", err)
	}
	return strconv.Itoa(dividend / divisor), nil // Panics when the divisor is 0.
}
