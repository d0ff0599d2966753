"""Translates images by trained generators on a TF Serving server. A new transport is a class and a row here."""

from tfpix2pix.tables import lazy

TRANSPORTS = {
    "rest": lazy("tfpix2pix.inference.remote.rest", "RestTransport"),
    "grpc": lazy("tfpix2pix.inference.remote.grpc", "GrpcTransport"),
}
