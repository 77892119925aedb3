#!/bin/sh
# The name that Kubeless calls for the compile step of a Go function. Its variables are those of the build itself.
exec funchost-go build
