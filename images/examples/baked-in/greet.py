def handler(event, context):
    return {"hello": event["extensions"]["request"].query.get("name", "world")}
