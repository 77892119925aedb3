package kubeless

import (
	"fmt"
	"net/http"

	"github.com/kubeless/kubeless/pkg/functions"
)

// Greet takes the name from the query, the language from a header, and remembers its visitors with a cookie.
func Greet(event functions.Event, context functions.Context) (string, error) {
	request, response := event.Extensions.Request, event.Extensions.Response
	name := request.URL.Query().Get("name")
	if name == "" {
		http.Error(response, "who are you? say ?name=", http.StatusBadRequest)
		return "", nil
	}
	word := "Hello"
	if request.Header.Get("Accept-Language") == "de" {
		word = "Guten Tag"
	}
	again := ""
	if cookie, err := request.Cookie("visitor"); err == nil && cookie.Value == name {
		again = " again"
	}
	http.SetCookie(response, &http.Cookie{Name: "visitor", Value: name})
	response.Header().Set("Content-Language", request.Header.Get("Accept-Language"))
	response.Header().Set("X-Path", request.URL.Path)
	return fmt.Sprintf("%s%s, %s!", word, again, name), nil
}
