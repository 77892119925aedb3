package kubeless

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/kubeless/kubeless/pkg/functions"
)

var piece = []byte(strings.Repeat("x", 4096))

func Hello(event functions.Event, _ functions.Context) (string, error) { return "hello", nil }

func Echo(event functions.Event, _ functions.Context) (string, error) {
	var data any
	if err := json.Unmarshal([]byte(event.Data), &data); err != nil {
		return "", err
	}
	text, err := json.Marshal(data)
	if err != nil {
		return "", err
	}
	event.Extensions.Response.Header().Set("Content-Type", "application/json")
	return string(text), nil
}

func Mirror(event functions.Event, _ functions.Context) (string, error) { return event.Data, nil }

func Stream(event functions.Event, _ functions.Context) (string, error) {
	response := event.Extensions.Response
	for range 25 {
		if _, err := response.Write(piece); err != nil {
			return "", err
		}
		response.(http.Flusher).Flush()
	}
	return "", nil
}

func Wait(functions.Event, functions.Context) (string, error) {
	time.Sleep(10 * time.Millisecond)
	return "slept", nil
}

func Mandelbrot(functions.Event, functions.Context) (string, error) { return mandelbrot(), nil }

func Fail(functions.Event, functions.Context) (string, error) { return "", errors.New("as asked") }

func Storm(event functions.Event, _ functions.Context) (string, error) {
	if event.Extensions.Request.URL.Path == "/spin" {
		for {
			turns++
		}
	}
	return "ok", nil
}

var turns int

// mandelbrot counts the steps that all points of a small picture take together. The conversions keep the compiler from
// fusing a multiplication and an addition, which would round differently from one machine to another.
func mandelbrot() string {
	steps := 0
	for row := range 64 {
		ci := float64(row)/32 - 1
		for column := range 80 {
			cr := float64(column)/32 - 2
			zr, zi := 0.0, 0.0
			for range 50 {
				rr, ii := float64(zr*zr), float64(zi*zi)
				if rr+ii > 4 {
					break
				}
				zi = float64(2*zr*zi) + ci
				zr = rr - ii + cr
				steps++
			}
		}
	}
	return strconv.Itoa(steps)
}
