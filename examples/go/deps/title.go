package kubeless

import (
	"os"
	"strings"

	"github.com/kubeless/kubeless/pkg/functions"
	"github.com/sirupsen/logrus"
)

var log = logrus.New()

func init() {
	log.SetFormatter(&logrus.JSONFormatter{})
	log.SetOutput(os.Stdout)
}

// Title writes the body in capitals, and logs what it did with a module that go.mod names.
func Title(event functions.Event, context functions.Context) (string, error) {
	log.WithField("length", len(event.Data)).Info("titled")
	return strings.ToUpper(event.Data), nil
}
