package kubeless

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/kubeless/kubeless/pkg/functions"
)

type order struct {
	Article string  `json:"article"`
	Count   int     `json:"count"`
	Price   float64 `json:"price"`
}

type bill struct {
	ID    string  `json:"id"`
	Total float64 `json:"total"`
}

// Bill reads an order from the request's body and answers with what it costs.
func Bill(event functions.Event, context functions.Context) (string, error) {
	response := event.Extensions.Response
	var ordered order
	if err := json.Unmarshal([]byte(event.Data), &ordered); err != nil {
		// The caller's mistake, so an answer of its own rather than an error.
		response.WriteHeader(http.StatusBadRequest)
		return fmt.Sprintf("not an order: %v\n", err), nil
	}
	billed, err := json.Marshal(bill{ID: event.EventID, Total: float64(ordered.Count) * ordered.Price})
	if err != nil {
		return "", err
	}
	response.Header().Set("Content-Type", "application/json")
	return string(billed), nil
}
