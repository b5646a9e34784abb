"""Calls a running `dray serve demo` by boto3, as a program that was written for SageMaker does.

    python3 tests/clients/boto3_runtime.py PORT [API_KEY]

Prints what it skips because the installed boto3 is too old for it. tests/program/aws_clients_test.cc runs this.
"""
import json
import sys

import boto3
import botocore.eventstream
import botocore.httpsession
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import ClientError

REQUEST = {"inputs": "The cat", "parameters": {"max_new_tokens": 5, "ignore_eos_token": True}}


def make_client(port):
    return boto3.client(
        "sagemaker-runtime",
        endpoint_url=f"http://127.0.0.1:{port}",
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"max_attempts": 0}),
    )


def invoke(client, request, **arguments):
    return client.invoke_endpoint(EndpointName="demo", ContentType="application/json",
                                  Body=json.dumps(request), **arguments)


def has_member(client, operation, member):
    return member in client.meta.service_model.operation_model(operation).input_shape.members


def catch(error_class, call):
    try:
        call()
    except error_class as error:
        return error.response
    raise AssertionError(f"no {error_class.__name__} was raised")


def check_answer(client):
    answer = invoke(client, REQUEST, Accept="application/json", CustomAttributes="a=b", InferenceId="i-1")
    body = json.loads(answer["Body"].read())
    assert isinstance(body["generated_text"], str) and body["generated_text"], body
    assert answer["ContentType"] == "application/json", answer
    assert answer["InvokedProductionVariant"] == "AllTraffic", answer
    assert answer["ResponseMetadata"]["RequestId"], answer
    return body["generated_text"]


def check_model_error(client):
    response = catch(client.exceptions.ModelError, lambda: invoke(client, {"input": "The cat"}))
    assert response["Error"]["Code"] == "ModelError", response
    assert response["Error"]["Message"].startswith("Received client error (400) from primary"), response
    assert response["OriginalStatusCode"] == 400, response
    assert json.loads(response["OriginalMessage"])["type"] == "BadRequestException", response
    assert response["LogStreamArn"].endswith("/aws/sagemaker/Endpoints/demo"), response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424, response


def check_validation_error(client):
    response = catch(client.exceptions.ValidationError,
                     lambda: invoke(client, REQUEST, TargetModel="none.tar.gz"))
    assert response["Error"]["Message"] == "Model none of endpoint demo not found.", response


def check_session(client):
    if not has_member(client, "InvokeEndpoint", "SessionId"):
        print(f"skipped: boto3 {boto3.__version__} has no SessionId")
        return
    opened = invoke(client, {"requestType": "NEW_SESSION"}, SessionId="NEW_SESSION")
    session = opened["NewSessionId"].split(";")[0]
    assert invoke(client, REQUEST, SessionId=session)["Body"].read()
    closed = invoke(client, {"requestType": "CLOSE"}, SessionId=session)
    assert closed["ClosedSessionId"] == session, closed
    catch(client.exceptions.ModelError, lambda: invoke(client, REQUEST, SessionId=session))


def stream_by_client(client, request):
    answer = client.invoke_endpoint_with_response_stream(
        EndpointName="demo", ContentType="application/json", Body=json.dumps(request))
    assert answer["ContentType"] == "application/jsonlines", answer
    assert answer["InvokedProductionVariant"] == "AllTraffic", answer
    return [event["PayloadPart"]["Bytes"] for event in answer["Body"]]


def stream_by_decoder(port, request):
    """As botocore's clients read an event stream, for a boto3 that is older than the operation."""
    url = f"http://127.0.0.1:{port}/endpoints/demo/invocations-response-stream"
    head = {"Content-Type": "application/json"}
    session = botocore.httpsession.URLLib3Session()
    response = session.send(AWSRequest("POST", url, head, json.dumps(request)).prepare())
    assert response.headers["Content-Type"] == "application/vnd.amazon.eventstream", response.headers
    buffer = botocore.eventstream.EventStreamBuffer()  # checks the checksums
    buffer.add_data(response.content)
    parts = []
    for message in buffer:
        assert message.headers[":message-type"] == "event", message.headers
        assert message.headers[":event-type"] == "PayloadPart", message.headers
        parts.append(message.payload)
    return parts


def check_stream(client, port, text):
    request = dict(REQUEST, stream=True)
    if hasattr(client, "invoke_endpoint_with_response_stream"):
        parts = stream_by_client(client, request)
        response = catch(client.exceptions.ModelError, lambda: stream_by_client(client, {"input": "The cat"}))
        assert response["OriginalStatusCode"] == 400, response
    else:
        print(f"skipped: boto3 {boto3.__version__} has no invoke_endpoint_with_response_stream; "
              "botocore's decoder of event streams reads the answer")
        parts = stream_by_decoder(port, request)
    assert len(parts) == 5, parts
    lines = [json.loads(line) for line in b"".join(parts).splitlines()]
    assert "".join(line["token"]["text"] for line in lines) == text, lines
    assert lines[-1]["generated_text"] == text, lines


def check_key(client, key):
    """Without its key a request is refused; a hook adds the key to every request."""
    response = catch(ClientError, lambda: invoke(client, REQUEST))
    assert response["Error"]["Code"] == "AccessDeniedException", response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 401, response
    client.meta.events.register("before-sign.sagemaker-runtime",
                                lambda request, **_: request.headers.add_header("x-api-key", key))


def main(port, key=None):
    client = make_client(port)
    if key is not None:
        check_key(client, key)
        check_answer(client)
        return
    text = check_answer(client)
    check_model_error(client)
    check_validation_error(client)
    check_session(client)
    check_stream(client, port, text)


if __name__ == "__main__":
    main(*sys.argv[1:])
    print("ok")
