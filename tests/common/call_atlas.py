"""Calls a node of Atlas with Python's own XML-RPC: argv are its address and a list of [method, [argument, ...]] as JSON."""

import json
import sys
import xmlrpc.client

address, calls = sys.argv[1], json.loads(sys.argv[2])
proxy = xmlrpc.client.ServerProxy(f"http://{address}/RPC2", allow_none=True)


def call(method, arguments):
    try:
        reply = getattr(proxy, method)(*arguments)
    except xmlrpc.client.Fault as fault:
        return {"fault": fault.faultCode, "text": fault.faultString}
    except xmlrpc.client.ProtocolError as error:
        return {"http": error.errcode}
    assert isinstance(reply, str), reply
    return json.loads(reply)


print(json.dumps([call(method, arguments) for method, arguments in calls]))
