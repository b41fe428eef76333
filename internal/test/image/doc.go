// Package image tests Dockerfile and compose.yaml without a container engine. It
// carries out the instructions of Dockerfile that this tree uses: the build stage on
// this machine, with its own Go, and each final stage into a folder, the root file
// system of the image. The programs then run with that folder as their root and with
// the user of the image, if the test may do so, and with the environment and the
// arguments that the image and compose.yaml have.
//
// An engine would in addition fetch the base image of the build stage, which has no
// effect on the other stages but for the CA certificates.
package image
