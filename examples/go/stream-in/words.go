package kubeless

import (
	"bufio"
	"fmt"
	"net/http"
	"strings"
)

// Words counts the words of a text while it comes in, however long it is, and tells after every line how many there
// have been so far.
func Words(w http.ResponseWriter, r *http.Request) {
	words := 0
	lines := bufio.NewScanner(r.Body)
	for lines.Scan() {
		words += len(strings.Fields(lines.Text()))
		fmt.Fprintln(w, words)
		w.(http.Flusher).Flush()
	}
	// If the body has not come to its end, nobody takes the numbers so far for the whole: the server sees to that.
}
