package kubeless

import "github.com/kubeless/kubeless/pkg/functions"

// Hello answers every request with the same words.
func Hello(event functions.Event, context functions.Context) (string, error) {
	return "Hello world!", nil
}
