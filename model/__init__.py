"""What passes between training and service: tokenizer, network, state, artifact.

Knows neither how a network is trained nor how it is served.
"""
