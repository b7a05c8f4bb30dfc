// Reads ILM policies with the parser and validation that Elasticsearch itself uses; one line a file: "ok" or what is wrong.

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

import org.elasticsearch.xcontent.NamedXContentRegistry;
import org.elasticsearch.xcontent.ParseField;
import org.elasticsearch.xcontent.XContentParser;
import org.elasticsearch.xcontent.XContentParserConfiguration;
import org.elasticsearch.xcontent.json.JsonXContent;
import org.elasticsearch.xpack.core.ilm.*;

public class IlmCheck {
    static final NamedXContentRegistry ACTIONS = new NamedXContentRegistry(List.of(
        new NamedXContentRegistry.Entry(LifecycleType.class, new ParseField(TimeseriesLifecycleType.TYPE), p -> TimeseriesLifecycleType.INSTANCE),
        new NamedXContentRegistry.Entry(LifecycleAction.class, new ParseField(DeleteAction.NAME), DeleteAction::parse),
        new NamedXContentRegistry.Entry(LifecycleAction.class, new ParseField(SetPriorityAction.NAME), SetPriorityAction::parse),
        new NamedXContentRegistry.Entry(LifecycleAction.class, new ParseField(RolloverAction.NAME), RolloverAction::parse),
        new NamedXContentRegistry.Entry(LifecycleAction.class, new ParseField(ForceMergeAction.NAME), ForceMergeAction::parse),
        new NamedXContentRegistry.Entry(LifecycleAction.class, new ParseField(ReadOnlyAction.NAME), ReadOnlyAction::parse)
    ));

    public static void main(String[] files) throws Exception {
        for (String file : files) {
            try {
                check(Path.of(file));
                System.out.println("ok");
            } catch (Exception error) {
                Throwable cause = error;
                while (cause.getCause() != null) cause = cause.getCause();
                System.out.println(cause.getMessage().replace('\n', ' '));
            }
        }
    }

    static void check(Path file) throws Exception {
        XContentParserConfiguration configuration = XContentParserConfiguration.EMPTY.withRegistry(ACTIONS);
        try (XContentParser parser = JsonXContent.jsonXContent.createParser(configuration, Files.readAllBytes(file))) {
            expect(parser.nextToken() == XContentParser.Token.START_OBJECT, "an object expected");
            expect(parser.nextToken() == XContentParser.Token.FIELD_NAME && parser.currentName().equals("policy"), "`policy` expected");
            LifecyclePolicy.parse(parser, file.getFileName().toString().replace(".json", "")).validate();
            expect(parser.nextToken() == XContentParser.Token.END_OBJECT, "nothing expected after `policy`");
        }
    }

    static void expect(boolean holds, String otherwise) {
        if (!holds) throw new IllegalArgumentException(otherwise);
    }
}
