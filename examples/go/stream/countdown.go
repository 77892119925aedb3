package kubeless

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/kubeless/kubeless/pkg/functions"
)

// Countdown sends server-sent events while it counts, and stops when nobody listens any more.
func Countdown(event functions.Event, context functions.Context) (string, error) {
	from, err := strconv.Atoi(event.Extensions.Request.URL.Query().Get("from"))
	if err != nil {
		from = 3
	}
	response := event.Extensions.Response
	response.Header().Set("Content-Type", "text/event-stream")
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for ; from > 0; from-- {
		fmt.Fprintf(response, "data: %d\n\n", from)
		response.(http.Flusher).Flush()
		select {
		case <-tick.C:
		case <-event.Extensions.Context.Done():
			return "", event.Extensions.Context.Err()
		}
	}
	return "data: lift-off\n\n", nil
}
