"""Trained generators on a server: TF Serving, asked over the network. A new way to ask is a class and a row here."""

from tfpix2pix.lazy import lazy

TRANSPORTS = {
    "rest": lazy("tfpix2pix.serving.rest", "RestTransport"),
    "grpc": lazy("tfpix2pix.serving.grpc", "GrpcTransport"),
}
